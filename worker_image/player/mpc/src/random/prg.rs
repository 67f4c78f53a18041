//! Pseudo-random streams: one AES-128-CTR stream for each batch key, instruction, level and purpose
//! (docs/protocol.md, Randomness).

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::Aes128;

use super::tag::Tag;
use crate::block::{Block, BLOCK};

#[cfg(target_endian = "big")]
compile_error!(
    "messages and streams are little-endian words; this crate has only been written for \
     little-endian machines"
);

/// Where a party's shared randomness comes from. Each position of a stream is read once, in one
/// call.
pub(crate) trait Source {
    type Triples<'a>: Triples
    where
        Self: 'a;

    /// Uniform words for the elements `first ..`; the ring takes their low bits.
    fn words(&self, tag: Tag, first: usize, out: &mut [u64]);
    /// `count` uniform bit planes for a block.
    fn planes(&self, tag: Tag, count: usize, block: Block, out: &mut [u64]);
    /// A uniform number below `bound`, a power of two up to 256, for each element of a block.
    fn below(&self, tag: Tag, bound: usize, block: Block, out: &mut [u8]);
    /// Uniform triples, block after block.
    fn triples(&self, tag: Tag) -> Self::Triples<'_>;
}

/// A stream of uniform triples.
pub(crate) trait Triples {
    /// For each plane of `out` and each element of the block a uniform number below base^3.
    fn fill(&mut self, base: u16, block: Block, out: &mut [[u16; BLOCK]]);
}

/// The batch key of one pair, expanded.
pub(crate) struct Key {
    cipher: Aes128,
    #[cfg(feature = "audit")]
    id: crate::audit::KeyId,
}

/// AES blocks encrypted at a time.
const PIPELINE: usize = 32;

impl Key {
    pub(crate) fn new(bytes: [u8; 16]) -> Key {
        Key {
            cipher: Aes128::new(&bytes.into()),
            #[cfg(feature = "audit")]
            id: crate::audit::key_id(&bytes),
        }
    }

    /// A key nobody else has.
    pub(crate) fn random() -> Result<Key, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Key::new(bytes))
    }

    /// The words `first ..` of a stream; `first` is even.
    pub(crate) fn stream(&self, tag: Tag, first: usize, out: &mut [u64]) {
        let head =
            u64::from(tag.instruction) << 32 | u64::from(tag.level) << 16 | tag.purpose as u64;
        let mut counter = (first / 2) as u64;
        #[cfg(feature = "audit")]
        crate::audit::record(&self.id, head, counter, out.len().div_ceil(2) as u64);
        let mut blocks = [aes::Block::default(); PIPELINE];
        for part in out.chunks_mut(2 * PIPELINE) {
            let used = &mut blocks[..part.len().div_ceil(2)];
            for block in used.iter_mut() {
                block[..8].copy_from_slice(&head.to_be_bytes());
                block[8..].copy_from_slice(&counter.to_be_bytes());
                counter += 1;
            }
            self.cipher.encrypt_blocks(used);
            for (pair, block) in part.chunks_mut(2).zip(used.iter()) {
                for (word, bytes) in pair.iter_mut().zip(block.chunks_exact(8)) {
                    *word = u64::from_le_bytes([
                        bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6],
                        bytes[7],
                    ]);
                }
            }
        }
    }
}

impl Source for Key {
    type Triples<'a> = KeyTriples<'a>;

    fn words(&self, tag: Tag, first: usize, out: &mut [u64]) {
        self.stream(tag, first, out);
    }

    fn planes(&self, tag: Tag, count: usize, block: Block, out: &mut [u64]) {
        self.stream(tag, block.planes(count).start, out);
    }

    fn below(&self, tag: Tag, bound: usize, block: Block, out: &mut [u8]) {
        debug_assert!(bound.is_power_of_two() && bound <= 256);
        let mut words = [0u64; BLOCK / 8];
        let words = &mut words[..block.len.div_ceil(8)];
        self.stream(tag, block.first / 8, words);
        let mask = (bound - 1) as u8;
        out.iter_mut().zip(bytemuck::cast_slice::<u64, u8>(words)).for_each(|(o, b)| *o = b & mask);
    }

    fn triples(&self, tag: Tag) -> KeyTriples<'_> {
        KeyTriples { key: self, tag, next: 0, buffer: [0; 128], unread: 0 }
    }
}

/// Uniform triples by rejection: sixteen bits of the stream each, dropped where they would bias the
/// result.
pub(crate) struct KeyTriples<'a> {
    key: &'a Key,
    tag: Tag,
    /// The word of the stream that comes after the buffer.
    pub(crate) next: usize,
    buffer: [u64; 128],
    /// Sixteen-bit numbers at the buffer's end that are still to be read.
    unread: usize,
}

impl Triples for KeyTriples<'_> {
    fn fill(&mut self, base: u16, block: Block, out: &mut [[u16; BLOCK]]) {
        let limit = base * base * base; // below 2^16, and above half of it: nothing is reduced
        for plane in out {
            let plane = &mut plane[..block.len];
            let mut filled = 0;
            while filled < plane.len() {
                if self.unread == 0 {
                    self.key.stream(self.tag, self.next, &mut self.buffer);
                    self.next += self.buffer.len();
                    self.unread = 4 * self.buffer.len();
                }
                let numbers: &[u16] = bytemuck::cast_slice(&self.buffer);
                let candidates = &numbers[numbers.len() - self.unread..];
                // no more candidates than there is room for, and so no branch on what they are
                let round = candidates.len().min(plane.len() - filled);
                let mut taken = filled;
                for candidate in &candidates[..round] {
                    plane[taken] = *candidate;
                    taken += usize::from(*candidate < limit);
                }
                filled = taken;
                self.unread -= round;
            }
        }
    }
}
