//! What all parties have in common.

use crate::workspace::Workspace;

/// One of the three, while it runs a program.
pub(crate) trait Party {
    /// Called before each instruction, and each level of one: tags messages and randomness.
    fn begin(&mut self, instruction: u32, level: u16);

    fn workspace(&mut self) -> &mut Workspace;
}

/// The input as each role holds it, for all rows of the batch. bob masked his share and sent it to
/// alice before the batch was formed.
pub enum PartyInput {
    /// x_a, and bob's x_b + λ_b.
    Alice { share: Vec<u64>, bob: Vec<u64> },
    /// x_b + λ_b and λ_b.
    Bob { masked: Vec<u64>, mask: Vec<u64> },
    /// λ_b.
    Carol { mask: Vec<u64> },
}
