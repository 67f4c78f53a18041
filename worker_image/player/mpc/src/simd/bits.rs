//! Bit planes of a block: plane b holds bit b of every element, element e at bit e mod 64 of word
//! ⌊e / 64⌋.

use crate::block::{BLOCK, PLANE};

/// 64 rows of words side by side: eight 64 x 64 bit matrices, one for each word of a plane.
type Matrices = [[u64; PLANE]; 64];

/// The lowest `count` bit planes of up to BLOCK values; bits past the last element are zero.
#[inline(always)]
pub(crate) fn planes(values: &[u64], count: usize, out: &mut [u64]) {
    let mut rows: Matrices = [[0; PLANE]; 64];
    for (j, chunk) in values.chunks(64).enumerate() {
        for (row, value) in rows.iter_mut().zip(chunk) {
            row[j] = *value;
        }
    }
    for width in [32, 16, 8, 4, 2, 1] {
        swap(&mut rows, width, count);
    }
    let words = values.len().div_ceil(64);
    for (plane, row) in out.chunks_exact_mut(words).zip(&rows).take(count) {
        plane.copy_from_slice(&row[..words]);
    }
}

/// The inverse of `planes`: values below 2^count.
#[inline(always)]
pub(crate) fn values(planes: &[u64], count: usize, out: &mut [u64]) {
    let mut rows: Matrices = [[0; PLANE]; 64];
    let words = out.len().div_ceil(64);
    for (row, plane) in rows.iter_mut().zip(planes.chunks_exact(words)).take(count) {
        row[..words].copy_from_slice(plane);
    }
    for width in [1, 2, 4, 8, 16, 32] {
        swap(&mut rows, width, count);
    }
    for (j, chunk) in out.chunks_mut(64).enumerate() {
        for (value, row) in chunk.iter_mut().zip(&rows) {
            *value = row[j];
        }
    }
}

/// One step of transposing a 64 x 64 bit matrix: the off-diagonal squares of that width trade
/// places (Hacker's Delight, section 7-3, mirrored). Rows from `count` on are not wanted, or are
/// zero.
#[inline(always)]
fn swap(rows: &mut Matrices, width: usize, count: usize) {
    const MASKS: [u64; 6] = [
        0x5555_5555_5555_5555,
        0x3333_3333_3333_3333,
        0x0f0f_0f0f_0f0f_0f0f,
        0x00ff_00ff_00ff_00ff,
        0x0000_ffff_0000_ffff,
        0x0000_0000_ffff_ffff,
    ];
    let mask = MASKS[width.trailing_zeros() as usize];
    for group in rows.chunks_exact_mut(2 * width).take(count.div_ceil(2 * width)) {
        let (low, high) = group.split_at_mut(width);
        for (low, high) in low.iter_mut().zip(high) {
            for (a, b) in low.iter_mut().zip(high) {
                let t = (*a >> width ^ *b) & mask;
                *a ^= t << width;
                *b ^= t;
            }
        }
    }
}

/// The plane of the values' bit `at`.
#[inline(always)]
pub(crate) fn plane(values: &[u64], at: u32, out: &mut [u64]) {
    for (word, chunk) in out.iter_mut().zip(values.chunks(64)) {
        *word = chunk.iter().enumerate().fold(0, |acc, (e, v)| acc | (v >> at & 1) << e);
    }
}

/// For each element all ones if its bit is set in the plane, else zero.
#[inline(always)]
pub(crate) fn masks(plane: &[u64], out: &mut [u64]) {
    for (word, chunk) in plane.iter().zip(out.chunks_mut(64)) {
        for (e, mask) in chunk.iter_mut().enumerate() {
            *mask = (word >> e & 1).wrapping_neg();
        }
    }
}

/// bit − a modulo 2^count, where `a` has `count` planes and `bit` is one: a borrow that ripples
/// through the planes.
#[inline(always)]
pub(crate) fn subtract(bit: &[u64], a: &[u64], out: &mut [u64]) {
    let words = bit.len();
    let mut borrow = [0u64; PLANE];
    for (i, (plane, result)) in a.chunks_exact(words).zip(out.chunks_exact_mut(words)).enumerate() {
        for j in 0..words {
            let minuend = if i == 0 { bit[j] } else { 0 };
            result[j] = minuend ^ plane[j] ^ borrow[j];
            borrow[j] = !minuend & (plane[j] | borrow[j]) | minuend & plane[j] & borrow[j];
        }
    }
}

/// Words for `count` planes of a block.
pub(crate) const fn room(count: usize) -> usize {
    count * BLOCK / 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_plane_holds_that_bit_of_each_element(
            values in prop::collection::vec(any::<u64>(), 1..=BLOCK),
            count in 1usize..=64,
        ) {
            let words = values.len().div_ceil(64);
            let mut all = vec![0; count * words];
            planes(&values, count, &mut all);
            for (e, v) in values.iter().enumerate() {
                for b in 0..count {
                    prop_assert_eq!(all[b * words + e / 64] >> (e % 64) & 1, v >> b & 1);
                }
            }
            let mut one = vec![0; words];
            plane(&values, count as u32 - 1, &mut one);
            prop_assert_eq!(&all[(count - 1) * words..], &one[..]);
            let mut back = vec![0; values.len()];
            super::values(&all, count, &mut back);
            let mask = u64::MAX >> (64 - count);
            let low: Vec<u64> = values.iter().map(|v| v & mask).collect();
            prop_assert_eq!(back, low);
        }

        #[test]
        fn planes_subtract_like_numbers(
            pairs in prop::collection::vec((any::<bool>(), any::<u64>()), 1..=BLOCK),
            count in 1usize..=32,
        ) {
            let words = pairs.len().div_ceil(64);
            let (bits, a): (Vec<u64>, Vec<u64>) =
                pairs.iter().map(|(bit, a)| (u64::from(*bit), *a)).unzip();
            let (mut a_planes, mut out) = (vec![0; count * words], vec![0; count * words]);
            let mut bit = vec![0; words];
            plane(&bits, 0, &mut bit);
            planes(&a, count, &mut a_planes);
            subtract(&bit, &a_planes, &mut out);
            let mut result = vec![0; pairs.len()];
            values(&out, count, &mut result);
            let mask = u64::MAX >> (64 - count);
            let expected: Vec<u64> =
                bits.iter().zip(&a).map(|(b, a)| b.wrapping_sub(*a) & mask).collect();
            prop_assert_eq!(result, expected);
        }
    }
}
