//! Tensors are worked through in blocks that fit the first-level cache; messages and random streams
//! are laid out block after block, so that one pass over memory does all the work between two
//! messages (docs/protocol.md, Order and packing of messages).

use std::ops::Range;

use crate::random::prg::Purpose;

/// Elements of a block; a multiple of 64, so that bit planes of blocks are whole words.
pub(crate) const BLOCK: usize = 512;
/// Words of a bit plane of a block.
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

    /// Where this block's part begins in a buffer of `count` planes a block.
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

/// One part of a message: what it holds of each block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A ring element each.
    Words,
    /// Bit planes: a bit each, or the bits of a small number each.
    Planes(usize),
    /// Three digits of a small field in sixteen bits each, that many times.
    Triples(usize),
}

impl Part {
    fn words(self, len: usize) -> usize {
        match self {
            Part::Words => len,
            Part::Planes(count) => count * len.div_ceil(64),
            Part::Triples(count) => count * triple_words(len),
        }
    }
}

/// Words that hold one triple of each of `len` elements.
pub(crate) fn triple_words(len: usize) -> usize {
    len.div_ceil(4)
}

/// The parts of a message, in order, for each block.
pub(crate) struct Layout(Vec<(Purpose, Part)>);

impl Layout {
    pub(crate) fn new(parts: impl IntoIterator<Item = (Purpose, Part)>) -> Layout {
        Layout(parts.into_iter().collect())
    }

    /// Words of the whole message for `n` elements.
    pub(crate) fn words(&self, n: usize) -> usize {
        n / BLOCK * self.block_words(BLOCK) + self.block_words(n % BLOCK)
    }

    fn block_words(&self, len: usize) -> usize {
        self.0.iter().map(|(_, part)| part.words(len)).sum()
    }

    pub(crate) fn part(&self, purpose: Purpose) -> Part {
        self.0
            .iter()
            .find(|(found, _)| *found == purpose)
            .map_or(Part::Planes(0), |(_, part)| *part)
    }

    /// Where a part of a block is.
    pub(crate) fn at(&self, purpose: Purpose, block: Block) -> Range<usize> {
        let mut begin = block.first / BLOCK * self.block_words(BLOCK);
        for (found, part) in &self.0 {
            let len = part.words(block.len);
            if *found == purpose {
                return begin..begin + len;
            }
            begin += len;
        }
        begin..begin
    }
}
