//! What every party has.

use crate::workspace::Workspace;

/// One of the three, while it runs a program.
pub(crate) trait Party {
    /// Called before each instruction, and each level of one: tags messages and randomness.
    fn begin(&mut self, instruction: u32, level: u16);

    fn workspace(&mut self) -> &mut Workspace;
}

/// The input as each role has it, all rows of the batch. bob has masked his share, and sent it to
/// alice, before there was a batch.
pub enum PartyInput {
    /// x_a, and bob's x_b + λ_b.
    Alice { share: Vec<u64>, bob: Vec<u64> },
    /// x_b + λ_b and λ_b.
    Bob { masked: Vec<u64>, mask: Vec<u64> },
    /// λ_b.
    Carol { mask: Vec<u64> },
}
