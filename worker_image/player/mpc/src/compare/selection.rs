//! y = b·t from b = b_public ⊕ s, where carol knows s and the data players b_public
//! (docs/protocol.md, Selection). Both protocols end this way.

use crate::block::{blocks, Block, BLOCK};
use crate::message::{Layout, Part};
use crate::party::data::{Data, Dealt, Difference};
use crate::party::helper::Helper;
use crate::random::prg::Source;
use crate::random::ring::Ring;
use crate::random::tag::Purpose;
use crate::simd::{bits, vectorized};

/// ⟨s⟩, ⟨s·R⟩ and, after a truncation by `shift` bits, ⟨s·ρ_m⟩ modulo 2^(shift + 1).
pub(crate) fn parts(shift: Option<u32>) -> Vec<(Purpose, Part)> {
    let mut parts = vec![(Purpose::Sigma, Part::Words), (Purpose::SigmaR, Part::Words)];
    parts.extend(shift.map(|shift| (Purpose::SigmaRhoM, Part::Planes(shift as usize + 1))));
    parts
}

/// carol's part for a block; `s` is the block's plane, `r` and `msb` belong to the whole tensor.
pub(crate) fn deal<R: Ring, S: Source, C>(
    helper: &Helper<R, S, C>,
    s: &[u64],
    r: &[u64],
    msb: Option<(&[u64], u32)>,
    block: Block,
    layout: &Layout,
    message: &mut [u64],
) {
    let (mut bit, mut product) = ([0u64; BLOCK], [0u64; BLOCK]);
    let (bit, product) = (&mut bit[..block.len], &mut product[..block.len]);
    let r = &r[block.range()];
    vectorized(
        #[inline(always)]
        || {
            bits::masks(s, bit);
            for ((bit, product), r) in bit.iter_mut().zip(product.iter_mut()).zip(r) {
                *product = *r & *bit;
                *bit &= 1;
            }
        },
    );
    helper.deal_words(
        Purpose::Sigma,
        block.first,
        bit,
        &mut message[layout.at(Purpose::Sigma, block)],
    );
    helper.deal_words(
        Purpose::SigmaR,
        block.first,
        product,
        &mut message[layout.at(Purpose::SigmaR, block)],
    );
    if let Some((rho_m, shift)) = msb {
        let out = &mut message[layout.at(Purpose::SigmaRhoM, block)];
        deal_correction(helper, s, &rho_m[block.planes(1)], shift, block, out);
    }
}

/// Deals s·ρ_m modulo 2^(shift + 1), from the block's planes of both.
fn deal_correction<R: Ring, S: Source, C>(
    helper: &Helper<R, S, C>,
    s: &[u64],
    rho_m: &[u64],
    shift: u32,
    block: Block,
    out: &mut [u64],
) {
    let count = shift as usize + 1;
    let (mut both, mut alice) = ([0u64; bits::room(1)], [0u64; bits::room(32)]);
    let (both, alice) = (&mut both[..block.words()], &mut alice[..count * block.words()]);

    both.iter_mut().zip(s).zip(rho_m).for_each(|((both, s), rho_m)| *both = s & rho_m);
    helper.with_alice.planes(helper.tag(Purpose::SigmaRhoM), count, block, alice);
    bits::subtract(both, alice, out);
}

/// A data player's share of y. `s`: its share of ⟨s⟩, or nothing if that is still to be read from
/// `second`.
pub(crate) fn select<R: Ring, S: Source, C>(
    data: &mut Data<R, S, C>,
    t: &Difference,
    b_public: &[u64],
    second: &Dealt,
    s: Option<&[u64]>,
) -> Vec<u64> {
    let n = t.p.len();
    let mut y = data.workspace.take(n);
    let (mut share, mut scratch, mut mask) = ([0u64; BLOCK], [0u64; BLOCK], [0u64; BLOCK]);
    for block in blocks(n) {
        let (y, share, mask) =
            (&mut y[block.range()], &mut share[..block.len], &mut mask[..block.len]);
        let s = match s {
            Some(s) => &s[block.range()],
            None => data.read(second, Purpose::Sigma, block, &mut scratch),
        };
        data.share_of_product(t, second, s, block, y);
        data.share(t, block, share);
        let b = &b_public[block.planes(1)];
        vectorized(
            #[inline(always)]
            || {
                bits::masks(b, mask);
                for ((y, share), b) in y.iter_mut().zip(share).zip(mask) {
                    // b ? t − s·t : s·t
                    *y = R::add((*y ^ *b).wrapping_sub(*b), *share & *b);
                }
            },
        );
    }
    y
}
