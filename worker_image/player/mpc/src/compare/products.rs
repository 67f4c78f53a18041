//! Products of shared bits in one round, with a dealer: multi-fan-in AND (ABY2.0, section 3;
//! docs/protocol.md, Products of bits).

use crate::block::PLANE;

/// A bit plane of a block.
pub(crate) type Plane = [u64; PLANE];

/// Factors that are opened together, and the products wanted of them.
pub(crate) struct Group {
    pub factors: usize,
    /// Bit masks over the factors.
    pub products: Vec<u8>,
    /// Sets of two and more factors whose mask products the dealer shares: every such subset of a
    /// product, ascending.
    pub dealt: Vec<u8>,
}

impl Group {
    pub(crate) fn new(factors: usize, products: Vec<u8>) -> Group {
        let dealt = (0u8..=u8::MAX)
            .filter(|t| t.count_ones() >= 2 && products.iter().any(|s| t & s == *t))
            .collect();
        Group { factors, products, dealt }
    }
}

/// The AND of the planes in `set`; all ones for the empty set.
#[inline(always)]
pub(crate) fn conjunction(planes: &[Plane], set: u8) -> Plane {
    let mut out = [u64::MAX; PLANE];
    for plane in
        planes.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1).map(|(_, plane)| plane)
    {
        out.iter_mut().zip(plane).for_each(|(a, b)| *a &= b);
    }
    out
}

#[inline(always)]
pub(crate) fn xor(a: &Plane, b: &Plane) -> Plane {
    let mut out = *a;
    out.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
    out
}

/// A share of one product: ⨁ over subsets T of `set` of (the opened factors outside T) · (the mask
/// product of T). `opened`: the factors under their masks; `masks`: this player's shares of the
/// masks; `dealt`: its shares of the mask products `sets`; `lead`: it adds the public term.
#[inline(always)]
pub(crate) fn product(
    set: u8,
    opened: &[Plane],
    masks: &[Plane],
    sets: &[u8],
    dealt: &[Plane],
    lead: bool,
) -> Plane {
    let mut sum = [0u64; PLANE];
    for t in (0..=set).filter(|t| t & set == *t) {
        let term = conjunction(opened, set & !t);
        let share = match t.count_ones() {
            0 if lead => &[u64::MAX; PLANE],
            0 => continue,
            1 => &masks[t.trailing_zeros() as usize],
            _ => match sets.iter().position(|known| *known == t) {
                Some(i) => &dealt[i],
                None => continue, // a group's `dealt` has every subset of its products
            },
        };
        for j in 0..PLANE {
            sum[j] ^= term[j] & share[j];
        }
    }
    sum
}

/// Planes of a message or stream, widened to whole blocks.
#[inline(always)]
pub(crate) fn load(planes: &[u64], words: usize, out: &mut [Plane]) {
    for (out, plane) in out.iter_mut().zip(planes.chunks_exact(words)) {
        *out = [0; PLANE];
        out[..words].copy_from_slice(plane);
    }
}

/// The inverse of `load`.
#[inline(always)]
pub(crate) fn store(planes: &[Plane], words: usize, out: &mut [u64]) {
    for (plane, out) in planes.iter().zip(out.chunks_exact_mut(words)) {
        out.copy_from_slice(&plane[..words]);
    }
}
