//! Comparisons: how each protocol gets y = max(t, 0), or t from a threshold on (docs/protocol.md,
//! relu).

pub(crate) mod astra;
mod comparison;
mod digits;
mod products;
pub(crate) mod securenn;
pub(crate) mod selection;
pub(crate) mod table;

pub(crate) use comparison::Comparison;
pub(crate) use table::{layouts, parts, with_comparison};
