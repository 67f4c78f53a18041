//! How long a message can be that the links between players have to carry.

use crate::share_file::Shares;

/// Words of the longest message between players in a batch of `rows` rows, from the layouts of what
/// the program's instructions send under its protocol.
pub fn longest_message(shares: &Shares, rows: usize) -> usize {
    let words = shares.program.instructions.iter().flat_map(|instruction| {
        let op = instruction.op();
        let elements = op.message_elements().saturating_mul(rows);
        op.messages(shares.protocol).into_iter().map(move |layout| layout.words(elements))
    });
    words.max().unwrap_or(0)
}
