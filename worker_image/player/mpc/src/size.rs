//! How long a message can be that the links between players have to carry.

use crate::share_file::Shares;

/// Words of the longest message between players in a batch of `rows` rows, from the layouts of what
/// the program's instructions send under its protocol.
pub fn longest_message(shares: &Shares, rows: usize) -> usize {
    let instructions = shares.program.instructions.iter();
    let messages = instructions.map(|instruction| instruction.op().messages(shares.protocol));
    let words = messages.flat_map(|messages| {
        let elements = messages.elements.saturating_mul(rows);
        messages.layouts.into_iter().map(move |layout| layout.words(elements))
    });
    words.max().unwrap_or(0)
}
