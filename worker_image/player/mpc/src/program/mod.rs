//! What the players compute, without weights (docs/program.md).

pub(crate) mod instruction;
mod parse;

pub use parse::{Program, ProgramError};
