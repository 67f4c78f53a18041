//! Comparisons: a protocol's way to y = max(t, 0) (docs/protocol.md, relu).

pub(crate) mod astra;
mod digits;
mod products;
pub(crate) mod securenn;
pub(crate) mod selection;
