//! What the players compute, without weights (docs/program.md).

pub(crate) mod instruction;
mod parse;
pub mod public;

pub use parse::{Program, ProgramError};
