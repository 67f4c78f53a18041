//! Passes over many elements, compiled once for each level of vector instructions.

pub(crate) mod bits;
pub(crate) mod kernels;
mod level;

pub(crate) use level::vectorized;
