//! Products of shared bits in one round, with a dealer: multi-fan-in AND (ABY2.0, section 3; docs/protocol.md, Products of bits).
//!
//! A layer is a few groups of factors, each with the products wanted of it. A product is a bit mask over its group's factors.

/// Factors that are opened together and the products formed of them.
pub(super) struct Group {
    pub factors: usize,
    pub products: &'static [u8],
}

impl Group {
    /// Sets of two and more factors whose mask products the dealer must share: every such subset of a product, ascending.
    pub(super) fn dealt(&self) -> impl Iterator<Item = u8> + '_ {
        (0u8..=u8::MAX).filter(|t| t.count_ones() >= 2 && self.products.iter().any(|s| t & s == *t))
    }
}

pub(super) fn factors(layer: &[Group]) -> usize {
    layer.iter().map(|g| g.factors).sum()
}

pub(super) fn dealt(layer: &[Group]) -> usize {
    layer.iter().map(|g| g.dealt().count()).sum()
}

/// The dealer's part: for `masks` (all factors' planes, group after group, `w` words each) the planes to deal.
pub(super) fn mask_products(layer: &[Group], masks: &[u64], w: usize) -> Vec<u64> {
    let mut out = Vec::with_capacity(dealt(layer) * w);
    let mut rest = masks;
    for group in layer {
        let (own, later) = rest.split_at(group.factors * w);
        rest = later;
        for t in group.dealt() {
            out.extend(conjunction(own, t, w));
        }
    }
    out
}

/// A data player's part: shares of all products, group after group. `opened`: the factors under their masks; `masks`: this player's share of the masks;
/// `dealt`: this player's share of `mask_products`; `lead`: whether this player adds the public terms.
pub(super) fn products(layer: &[Group], opened: &[u64], masks: &[u64], dealt: &[u64], lead: bool, w: usize) -> Vec<u64> {
    let mut out = Vec::new();
    let (mut opened, mut masks, mut dealt) = (opened, masks, dealt);
    for group in layer {
        let wanted: Vec<u8> = group.dealt().collect();
        for s in group.products {
            let mut sum = vec![0u64; w];
            for t in (0..=*s).filter(|t| t & s == *t) {
                let share = match t.count_ones() {
                    0 if lead => None,
                    0 => continue,
                    1 => Some(plane(masks, t.trailing_zeros() as usize, w)),
                    _ => wanted.iter().position(|d| *d == t).map(|i| plane(dealt, i, w)),
                };
                let mut term = conjunction(opened, s & !t, w);
                if let Some(share) = share {
                    term.iter_mut().zip(share).for_each(|(a, b)| *a &= b);
                }
                sum.iter_mut().zip(term).for_each(|(a, b)| *a ^= b);
            }
            out.extend(sum);
        }
        opened = &opened[group.factors * w..];
        masks = &masks[group.factors * w..];
        dealt = &dealt[wanted.len() * w..];
    }
    out
}

pub(super) fn plane(planes: &[u64], i: usize, w: usize) -> &[u64] {
    &planes[i * w..(i + 1) * w]
}

/// The AND of the planes in `set`; all ones for the empty set.
fn conjunction(planes: &[u64], set: u8, w: usize) -> Vec<u64> {
    let mut out = vec![u64::MAX; w];
    for i in (0..8).filter(|i| set >> i & 1 == 1) {
        out.iter_mut().zip(plane(planes, i, w)).for_each(|(a, b)| *a &= b);
    }
    out
}
