//! Comparison of a value M, public to the data players, with a value R that carol knows: [M mod 2^31 < R mod 2^31] as shared bits (docs/protocol.md, relu).

use super::and::{plane, Group};
use super::bits;

/// Bits of the digits, least significant first.
const DIGITS: [usize; 8] = [4, 4, 4, 4, 4, 4, 4, 3];

/// One-hot planes that carol deals: all entries of each digit but e_0.
pub(super) const LEAVES: usize = 7 * 15 + 7;

/// Factors of the high group: eq_3, eq_2, eq_1, eq_0, lt_2, lt_1, lt_0; of the low group the same without eq_0. The products are those of L and E.
pub(super) const FIRST: &[Group] = &[
    Group { factors: 7, products: &[0b001_0001, 0b010_0011, 0b100_0111, 0b000_1111] },
    Group { factors: 6, products: &[0b00_1001, 0b01_0011, 0b10_0111] },
];

/// Factors: E_high, L_low.
pub(super) const SECOND: &[Group] = &[Group { factors: 2, products: &[0b11] }];

/// carol's leaves: for each digit of R the planes e_1, e_2, ….
pub(super) fn one_hot(r: &[u64]) -> Vec<u64> {
    let w = bits::plane_words(r.len());
    let digits = bits::planes(r, 31);
    let mut out = Vec::with_capacity(LEAVES * w);
    let mut first = 0;
    for width in DIGITS {
        for j in 1..1u64 << width {
            out.extend((0..w).map(|i| {
                (0..width).fold(u64::MAX, |acc, b| {
                    let bits = digits[(first + b) * w + i];
                    acc & if j >> b & 1 == 1 { bits } else { !bits }
                })
            }));
        }
        first += width;
    }
    out
}

/// A data player's shares of the digits' comparisons.
pub(super) struct Leaves {
    /// [M_i < R_i], digit 0 first
    lt: Vec<u64>,
    /// [M_i = R_i]
    eq: Vec<u64>,
    w: usize,
}

/// Selects by the public digits of M (`m`: its lowest 31 planes) from the shared one-hot vectors.
pub(super) fn leaves(m: &[u64], one_hot: &[u64], w: usize, lead: bool) -> Leaves {
    let mut leaves = Leaves { lt: vec![0; 8 * w], eq: vec![0; 8 * w], w };
    let (mut first_bit, mut first_entry) = (0, 0);
    for (digit, width) in DIGITS.into_iter().enumerate() {
        let entries = (1usize << width) - 1;
        for i in 0..w {
            // equal[j] = [R_i = j], above[j] = [R_i > j]
            let (mut equal, mut above) = ([0u64; 16], [0u64; 16]);
            for j in (1..=entries).rev() {
                equal[j] = one_hot[(first_entry + j - 1) * w + i];
                above[j - 1] = above[j] ^ equal[j];
            }
            equal[0] = above[0] ^ if lead { u64::MAX } else { 0 };
            for bit in (0..width).rev() {
                let choice = m[(first_bit + bit) * w + i];
                for j in 0..1 << bit {
                    equal[j] ^= (equal[j] ^ equal[j + (1 << bit)]) & choice;
                    above[j] ^= (above[j] ^ above[j + (1 << bit)]) & choice;
                }
            }
            leaves.eq[digit * w + i] = equal[0];
            leaves.lt[digit * w + i] = above[0];
        }
        first_bit += width;
        first_entry += entries;
    }
    leaves
}

impl Leaves {
    /// The planes to open on the first level, in the order of `FIRST`.
    pub(super) fn first_factors(&self) -> Vec<u64> {
        let eq = |i| plane(&self.eq, i, self.w);
        let lt = |i| plane(&self.lt, i, self.w);
        [eq(7), eq(6), eq(5), eq(4), lt(6), lt(5), lt(4), eq(3), eq(2), eq(1), lt(2), lt(1), lt(0)].concat()
    }

    /// From the first level's products: the planes to open on the second level (E_high, L_low), and L_high.
    pub(super) fn second_factors(&self, products: &[u64]) -> (Vec<u64>, Vec<u64>) {
        let p = |i| plane(products, i, self.w);
        let xor = |planes: [&[u64]; 4]| -> Vec<u64> { (0..self.w).map(|i| planes.iter().fold(0, |acc, plane| acc ^ plane[i])).collect() };
        let high = xor([plane(&self.lt, 7, self.w), p(0), p(1), p(2)]);
        let low = xor([plane(&self.lt, 3, self.w), p(4), p(5), p(6)]);
        ([p(3), &low].concat(), high)
    }
}
