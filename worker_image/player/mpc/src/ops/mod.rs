//! The instructions, one family per file: what each takes and gives, and what each party does for
//! it. The formulas are those of docs/protocol.md, Instructions.

pub(crate) mod add;
pub(crate) mod form;
pub(crate) mod input;
pub(crate) mod linear;
pub(crate) mod op;
pub(crate) mod output;
pub(crate) mod pooling;
pub(crate) mod rearrange;
pub(crate) mod relu;
pub(crate) mod sum;
pub(crate) mod truncate;
pub(crate) mod weight;
