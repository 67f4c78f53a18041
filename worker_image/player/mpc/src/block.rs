//! Tensors are processed in blocks that fit the first-level cache. Messages and random streams are
//! laid out block by block, so that one pass over memory does all the work between two messages
//! (docs/protocol.md, Order and packing of messages).

use std::ops::Range;

/// Elements per block; a multiple of 64, so that bit planes of blocks are whole words.
pub(crate) const BLOCK: usize = 512;
/// Words of a block's bit plane.
pub(crate) const PLANE: usize = BLOCK / 64;

/// The elements `first .. first + len` of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub first: usize,
    pub len: usize,
}

impl Block {
    pub(crate) fn range(self) -> Range<usize> {
        self.first..self.first + self.len
    }

    /// Words of a bit plane.
    pub(crate) fn words(self) -> usize {
        self.len.div_ceil(64)
    }

    /// Where this block lies in a buffer of `count` planes per block.
    pub(crate) fn planes(self, count: usize) -> Range<usize> {
        let begin = self.first / 64 * count;
        begin..begin + self.words() * count
    }
}

/// The blocks of a tensor of `n` elements.
pub(crate) fn blocks(n: usize) -> impl Iterator<Item = Block> {
    (0..n).step_by(BLOCK).map(move |first| Block { first, len: BLOCK.min(n - first) })
}

/// Words of `count` bit planes of `n` elements.
pub(crate) fn plane_words(n: usize, count: usize) -> usize {
    n.div_ceil(64) * count
}

/// Words that hold one triple for each of `len` elements.
pub(crate) fn triple_words(len: usize) -> usize {
    len.div_ceil(4)
}
