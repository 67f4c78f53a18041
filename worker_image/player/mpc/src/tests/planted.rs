//! A source with a defect, for the test of the tests.

use super::parties::Pair;
use super::*;
use crate::block::{Block, BLOCK};
use crate::random::prg::{KeyTriples, Triples};

/// What is wrong with one draw of one pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leak {
    pub pair: Pair,
    pub purpose: Purpose,
    pub defect: Defect,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Defect {
    Zero,
    /// Zero for this element alone.
    ZeroAt(usize),
    /// Words of 32 bits only.
    Narrow,
    /// This bit of each word is 1 with probability 51 %.
    Biased(u32),
    /// Drawn from another pair's key.
    KeyOf(Pair),
    /// Two batches use the same stream.
    Twice,
    /// The stream starts again after so many words.
    Repeats(usize),
    /// These bits of the instruction's number are missing: instructions share a stream.
    Merged(u32),
}

/// A pair's key, and for the draws of one purpose a defect.
pub(super) struct Planted {
    pub key: Key,
    /// The key that a wrong draw is from.
    pub wrong: Key,
    pub defect: Option<(Purpose, Defect)>,
}

impl Planted {
    fn defect(&self, tag: Tag) -> Option<Defect> {
        self.defect.filter(|(purpose, _)| *purpose == tag.purpose).map(|(_, defect)| defect)
    }

    fn key(&self, tag: Tag) -> &Key {
        match self.defect(tag) {
            Some(Defect::KeyOf(_) | Defect::Twice) => &self.wrong,
            _ => &self.key,
        }
    }

    /// The tag of the stream that is read.
    fn tag(&self, tag: Tag) -> Tag {
        match self.defect(tag) {
            Some(Defect::Merged(missing)) => Tag { instruction: tag.instruction & !missing, ..tag },
            _ => tag,
        }
    }

    /// The words `first ..` of a stream that starts again after `period`.
    fn repeating(&self, tag: Tag, period: usize, mut first: usize, mut out: &mut [u64]) {
        while !out.is_empty() {
            let at = first % period;
            let (part, rest) = out.split_at_mut(out.len().min(period - at));
            self.key.stream(tag, at, part);
            first += part.len();
            out = rest;
        }
    }
}

impl Source for Planted {
    type Triples<'a> = PlantedTriples<'a>;

    fn words(&self, tag: Tag, first: usize, out: &mut [u64]) {
        match self.defect(tag) {
            Some(Defect::Repeats(period)) => self.repeating(tag, period, first, out),
            _ => self.key(tag).words(self.tag(tag), first, out),
        }
        match self.defect(tag) {
            Some(Defect::Zero) => out.fill(0),
            Some(Defect::ZeroAt(element)) if (first..first + out.len()).contains(&element) => {
                out[element - first] = 0
            }
            Some(Defect::Narrow) => out.iter_mut().for_each(|word| *word &= u64::from(u32::MAX)),
            Some(Defect::Biased(bit)) => {
                // one in fifty is set anyhow, by a stream of its own: 1/2 + 1/2 · 1/50
                let mut other = vec![0; out.len()];
                self.key.words(Tag { purpose: Purpose::Request, ..tag }, first, &mut other);
                out.iter_mut()
                    .zip(other)
                    .filter(|(_, other)| other % 50 == 0)
                    .for_each(|(word, _)| *word |= 1 << bit);
            }
            _ => {}
        }
    }

    fn planes(&self, tag: Tag, count: usize, block: Block, out: &mut [u64]) {
        match self.defect(tag) {
            Some(Defect::Repeats(period)) => {
                self.repeating(tag, period, block.planes(count).start, out)
            }
            _ => self.key(tag).planes(self.tag(tag), count, block, out),
        }
        if let Some(Defect::Zero) = self.defect(tag) {
            out.fill(0);
        }
    }

    fn below(&self, tag: Tag, bound: usize, block: Block, out: &mut [u8]) {
        let first = match self.defect(tag) {
            Some(Defect::Repeats(period)) => block.first % (8 * period),
            _ => block.first,
        };
        self.key(tag).below(self.tag(tag), bound, Block { first, ..block }, out);
        if let Some(Defect::Zero) = self.defect(tag) {
            out.fill(0);
        }
    }

    fn triples(&self, tag: Tag) -> PlantedTriples<'_> {
        PlantedTriples { triples: self.key(tag).triples(self.tag(tag)), defect: self.defect(tag) }
    }
}

pub(super) struct PlantedTriples<'a> {
    triples: KeyTriples<'a>,
    defect: Option<Defect>,
}

impl Triples for PlantedTriples<'_> {
    fn fill(&mut self, base: u16, block: Block, out: &mut [[u16; BLOCK]]) {
        if let Some(Defect::Repeats(period)) = self.defect {
            self.triples.next %= period;
        }
        self.triples.fill(base, block, out);
        if let Some(Defect::Zero) = self.defect {
            out.iter_mut().for_each(|plane| plane[..block.len].fill(0));
        }
    }
}
