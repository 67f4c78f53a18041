//! Arithmetic modulo a small prime on 64 elements at a time, in a byte or sixteen bits per element,
//! so that every loop is a few vector instructions.
//!
//! Three digits in base p are one sixteen-bit number (37^3 < 2^16): messages and random streams
//! consist of such triples.

use crate::block::{triple_words, Block, BLOCK};
use crate::random::ring::Ring;

/// Elements of a chunk.
pub(crate) const LANES: usize = 64;
/// The most triples that any ring needs (for the 32 entries of Z64).
const MAX_TRIPLES: usize = 11;

/// One digit of each element of a chunk.
pub(crate) type Digit = [u8; LANES];
/// All digits of each element of a chunk.
pub(crate) type Digits = [Digit; 3 * MAX_TRIPLES];
/// All digits of a block, three to a number, plane after plane.
pub(crate) type Triples = [[u16; BLOCK]; MAX_TRIPLES];

pub(crate) const NO_DIGITS: Digits = [[0; LANES]; 3 * MAX_TRIPLES];
pub(crate) const NO_TRIPLES: Triples = [[0; BLOCK]; MAX_TRIPLES];

/// t mod p for t < 4p.
#[inline(always)]
pub(crate) fn reduce<R: Ring>(t: u8) -> u8 {
    let p = R::PRIME as u8;
    let t = t.min(t.wrapping_sub(2 * p));
    t.min(t.wrapping_sub(p))
}

/// Chunk `at` of a block's values; the arrays of blocks have room for whole chunks.
#[inline(always)]
pub(crate) fn chunk<T>(values: &[T; BLOCK], at: usize) -> &[T; LANES] {
    match values[at * LANES..].first_chunk() {
        Some(chunk) => chunk,
        None => unreachable!("a block has {} chunks", BLOCK / LANES),
    }
}

/// The three digits in base `base` of a chunk of one plane.
#[inline(always)]
pub(crate) fn unpack(plane: &[u16; BLOCK], at: usize, base: u16) -> [Digit; 3] {
    let packed = chunk(plane, at);
    let mut out = [[0; LANES]; 3];
    for e in 0..LANES {
        let tens = packed[e] / base;
        let hundreds = tens / base;
        out[0][e] = (packed[e] - tens * base) as u8;
        out[1][e] = (tens - hundreds * base) as u8;
        out[2][e] = hundreds as u8;
    }
    out
}

/// The inverse of `unpack`, for digits in base p.
#[inline(always)]
pub(crate) fn pack<R: Ring>(digits: &[Digit], plane: &mut [u16; BLOCK], at: usize) {
    let out = &mut plane[at * LANES..][..LANES];
    for e in 0..LANES {
        out[e] = u16::from(digits[0][e])
            + R::PRIME * (u16::from(digits[1][e]) + R::PRIME * u16::from(digits[2][e]));
    }
}

/// Reads a block's triples from a message, where its planes are only as long as the block.
pub(crate) fn from_message<R: Ring>(words: &[u64], block: Block, out: &mut Triples) {
    let numbers: &[u16] = bytemuck::cast_slice(words);
    for (plane, out) in numbers.chunks_exact(4 * triple_words(block.len)).zip(out).take(R::TRIPLES)
    {
        out[..plane.len()].copy_from_slice(plane);
    }
}

/// The inverse of `from_message`. Whatever lies beyond the block's end becomes zero.
pub(crate) fn to_message<R: Ring>(triples: &Triples, block: Block, words: &mut [u64]) {
    let numbers: &mut [u16] = bytemuck::cast_slice_mut(words);
    for (plane, triples) in
        numbers.chunks_exact_mut(4 * triple_words(block.len)).zip(triples).take(R::TRIPLES)
    {
        plane[..block.len].copy_from_slice(&triples[..block.len]);
        plane[block.len..].fill(0);
    }
}
