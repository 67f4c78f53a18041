//! Bit vectors (64 elements a word), bit planes of words, and values packed to the bit.

/// Words that hold one bit of each of `n` elements.
pub fn plane_words(n: usize) -> usize {
    n.div_ceil(64)
}

/// The lowest `count` bit planes of `values`, plane after plane; bits past the last element are zero.
pub fn planes(values: &[u64], count: usize) -> Vec<u64> {
    let w = plane_words(values.len());
    let mut out = vec![0u64; count * w];
    let mut block = [0u64; 64];
    for (i, chunk) in values.chunks(64).enumerate() {
        block[..chunk.len()].copy_from_slice(chunk);
        block[chunk.len()..].fill(0);
        transpose(&mut block);
        for (plane, bits) in block.iter().take(count).enumerate() {
            out[plane * w + i] = *bits;
        }
    }
    out
}

/// Element e's bit.
pub fn bit(plane: &[u64], e: usize) -> u64 {
    plane[e / 64] >> (e % 64) & 1
}

/// A 64 x 64 bit matrix, transposed in place: bit j of word i becomes bit i of word j (Hacker's Delight, section 7-3, mirrored).
fn transpose(a: &mut [u64; 64]) {
    let mut width = 32;
    let mut mask = 0x0000_0000_ffff_ffff_u64;
    while width != 0 {
        let mut i = 0;
        while i < 64 {
            let t = (a[i] >> width ^ a[i + width]) & mask;
            a[i] ^= t << width;
            a[i + width] ^= t;
            i = (i + width + 1) & !width;
        }
        width /= 2;
        mask ^= mask << width;
    }
}

/// Bytes that `n` values of `bits` bits take.
pub fn packed_len(n: usize, bits: u32) -> usize {
    (n * bits as usize).div_ceil(8)
}

/// Appends the low `bits` bits of each value, back to back, low bits first, padded to a byte.
pub fn pack(values: impl Iterator<Item = u64>, bits: u32, out: &mut Vec<u8>) {
    let (mut acc, mut held) = (0u128, 0);
    for v in values {
        acc |= u128::from(v & low_mask(bits)) << held;
        held += bits;
        while held >= 8 {
            out.push(acc as u8);
            acc >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        out.push(acc as u8);
    }
}

/// The inverse of `pack`; `bytes` holds `packed_len(n, bits)` bytes.
pub fn unpack(bytes: &[u8], n: usize, bits: u32) -> Vec<u64> {
    let (mut acc, mut held) = (0u128, 0);
    let mut bytes = bytes.iter();
    (0..n)
        .map(|_| {
            while held < bits {
                acc |= u128::from(*bytes.next().unwrap_or(&0)) << held;
                held += 8;
            }
            let v = acc as u64 & low_mask(bits);
            acc >>= bits;
            held -= bits;
            v
        })
        .collect()
}

/// The lowest `bits` bits set, 1 ≤ bits ≤ 64.
pub fn low_mask(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_plane_holds_that_bit_of_each_element(values in prop::collection::vec(any::<u64>(), 1..200)) {
            let w = plane_words(values.len());
            let all = planes(&values, 64);
            for (e, v) in values.iter().enumerate() {
                for b in 0..64 {
                    prop_assert_eq!(bit(&all[b * w..(b + 1) * w], e), v >> b & 1);
                }
            }
        }

        #[test]
        fn what_is_packed_unpacks(values in prop::collection::vec(any::<u64>(), 1..50), bits in 1u32..=64) {
            let mut bytes = Vec::new();
            pack(values.iter().copied(), bits, &mut bytes);
            prop_assert_eq!(bytes.len(), packed_len(values.len(), bits));
            let low: Vec<u64> = values.iter().map(|v| v & low_mask(bits)).collect();
            prop_assert_eq!(unpack(&bytes, values.len(), bits), low);
        }
    }
}
