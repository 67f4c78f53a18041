//! How messages are tagged and laid out (docs/protocol.md, Order and packing of messages).

use std::ops::Range;

use crate::block::{triple_words, Block, BLOCK};
use crate::random::tag::Purpose;

/// Steps per level in the tag on the wire, which is one byte: level · STEPS + step.
pub(crate) const STEPS: u8 = 8;
/// Levels of an instruction that the byte has room for.
pub(crate) const MAX_LEVELS: u32 = 32;

macro_rules! steps {
    ($($(#[$meta:meta])* $step:ident,)*) => {
        /// The messages of an instruction or of one of its levels, in the order of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Step {
            $($(#[$meta])* $step,)*
        }

        impl Step {
            pub(crate) const ALL: &[Step] = &[$(Step::$step,)*];
        }
    };
}

steps! {
    /// carol → bob
    Deal,
    /// alice ↔ bob
    Open,
    /// alice ↔ bob (ASTRA)
    And1,
    /// alice ↔ bob (ASTRA)
    And2,
    /// alice ↔ bob (ASTRA)
    Bit,
    /// alice, bob → carol (SecureNN)
    Entries,
    /// carol → bob (SecureNN)
    Select,
    /// alice ↔ bob
    Mask,
}

// One more step would be the first one of the next level.
const _: () = assert!(Step::ALL.len() <= STEPS as usize && MAX_LEVELS * STEPS as u32 == 1 << 8);

impl Step {
    /// The tag on the wire, at a level below `MAX_LEVELS`.
    pub(crate) fn at(self, level: u16) -> u8 {
        level as u8 * STEPS + self as u8
    }
}

/// One part of a message: what it holds for each element of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A ring element.
    Words,
    /// A bit, or the bits of a small number, as bit planes.
    Planes(usize),
    /// Three digits of a small field in sixteen bits, that many times.
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

/// The parts of a message, in order, for each block.
pub(crate) struct Layout(Vec<(Purpose, Part)>);

impl Layout {
    pub(crate) fn new(parts: impl IntoIterator<Item = (Purpose, Part)>) -> Layout {
        Layout(parts.into_iter().collect())
    }

    /// A ring element each: an opening, or masked shares.
    pub(crate) fn of_words(purpose: Purpose) -> Layout {
        Layout::new([(purpose, Part::Words)])
    }

    /// Words of the whole message for `n` elements; the largest number if there are more.
    pub(crate) fn words(&self, n: usize) -> usize {
        let whole = (n / BLOCK).saturating_mul(self.block_words(BLOCK));
        whole.saturating_add(self.block_words(n % BLOCK))
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

    /// Where a block's part lies in the message.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_messages_of_an_instruction_have_one_tag() {
        let tags =
            (0..MAX_LEVELS as u16).flat_map(|level| Step::ALL.iter().map(move |s| s.at(level)));
        let distinct: std::collections::HashSet<u8> = tags.collect();
        assert_eq!(distinct.len(), MAX_LEVELS as usize * Step::ALL.len());
    }
}
