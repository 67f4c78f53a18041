//! ASTRA's comparison: a tree over masked bits (docs/protocol.md, ASTRA). carol deals the digits of
//! R one-hot, alice and bob pick by the public digits of M, and join the digits' comparisons in two
//! levels of products of bits.

use super::comparison::Comparison;
use super::products::{conjunction, load, product, store, xor, Group, Plane};
use super::selection;
use crate::block::{blocks, plane_words, Block, BLOCK, PLANE};
use crate::channel::ChannelError;
use crate::message::{Layout, Part, Step};
use crate::party::data::{Data, Difference};
use crate::party::helper::Helper;
use crate::random::prg::Source;
use crate::random::ring::Ring;
use crate::random::tag::Purpose;
use crate::simd::{bits, vectorized};
use crate::values::Masked;
use crate::workspace::Workspace;

pub(crate) struct Astra;

/// The most there can be: planes of one-hot digits, factors of a level, mask products of a level.
const LEAVES: usize = 7 * 15 + 7;
const FACTORS: usize = 13;
const PRODUCTS: usize = 40;
const EMPTY: Plane = [0; PLANE];

/// How the digits' comparisons are joined: two groups of digits, then the two results.
struct Tree {
    /// Digits of the high and of the low group.
    digits: [usize; 2],
    first: [Group; 2],
    second: Group,
}

impl Tree {
    fn new<R: Ring>() -> Tree {
        let low = R::DIGITS.len() / 2;
        let digits = [R::DIGITS.len() - low, low];
        Tree {
            digits,
            first: [group(digits[0], true), group(digits[1], false)],
            second: Group::new(2, vec![0b11]),
        }
    }

    fn first_factors(&self) -> usize {
        self.first.iter().map(|group| group.factors).sum()
    }

    fn parts(&self) -> [(Purpose, Part); 3] {
        let dealt =
            |groups: &[Group]| Part::Planes(groups.iter().map(|group| group.dealt.len()).sum());
        [
            (Purpose::Products1, dealt(&self.first)),
            (Purpose::Products2, dealt(std::slice::from_ref(&self.second))),
            (Purpose::TopR, Part::Planes(1)),
        ]
    }
}

/// The products that compare `digits` digits: factors eq_{d-1} … eq_1 [eq_0], lt_{d-2} … lt_0; one
/// product for each lt but the top one, and with `whole` the product of all eq. A single digit
/// needs none.
fn group(digits: usize, whole: bool) -> Group {
    if digits == 1 {
        return Group::new(0, vec![]);
    }
    let equals = if whole { digits } else { digits - 1 };
    let mut products: Vec<u8> =
        (1..digits).map(|above| ((1 << above) - 1) | (1 << (equals + above - 1))).collect();
    products.extend(whole.then_some((1 << digits) - 1));
    Group::new(equals + digits - 1, products)
}

fn leaves<R: Ring>() -> usize {
    R::DIGITS.iter().map(|width| (1 << width) - 1).sum()
}

/// carol's leaves: for each digit of R the planes e_1, e_2, …; `digits`: the planes of R.
#[inline(always)]
fn one_hot<R: Ring>(digits: &[Plane], out: &mut [Plane]) {
    let (mut first, mut at) = (0, 0);
    for width in R::DIGITS {
        for j in 1..1usize << width {
            let mut minterm = [u64::MAX; PLANE];
            for b in 0..*width {
                let flip = if j >> b & 1 == 1 { 0 } else { u64::MAX };
                minterm
                    .iter_mut()
                    .zip(&digits[first + b])
                    .for_each(|(m, digit)| *m &= digit ^ flip);
            }
            out[at] = minterm;
            at += 1;
        }
        first += width;
    }
}

/// Shares of [M_i < R_i] and [M_i = R_i] for each digit i, picked by the public digits of M (`m`:
/// its planes) from the shared one-hot vectors.
#[inline(always)]
fn pick<R: Ring>(m: &[Plane], one_hot: &[Plane], lead: bool, lt: &mut [Plane], eq: &mut [Plane]) {
    let (mut first_bit, mut first_entry) = (0, 0);
    for (digit, width) in R::DIGITS.iter().enumerate() {
        let entries = (1usize << width) - 1;
        // equal[j] = [R_i = j], above[j] = [R_i > j]
        let (mut equal, mut above) = ([EMPTY; 16], [EMPTY; 16]);
        for j in (1..=entries).rev() {
            equal[j] = one_hot[first_entry + j - 1];
            above[j - 1] = xor(&above[j], &equal[j]);
        }
        equal[0] = xor(&above[0], &if lead { [u64::MAX; PLANE] } else { EMPTY });
        for bit in (0..*width).rev() {
            let choice = &m[first_bit + bit];
            for table in [&mut equal, &mut above] {
                let (low, high) = table.split_at_mut(1 << bit);
                for (low, high) in low.iter_mut().zip(high) {
                    for j in 0..PLANE {
                        low[j] ^= (low[j] ^ high[j]) & choice[j];
                    }
                }
            }
        }
        (eq[digit], lt[digit]) = (equal[0], above[0]);
        first_bit += width;
        first_entry += entries;
    }
}

/// The factors of a group, in its order, from its digits' comparisons.
#[inline(always)]
fn factors(group: &Group, lt: &[Plane], eq: &[Plane], out: &mut [Plane]) {
    let equals = (group.factors + 1).saturating_sub(lt.len());
    let ordered = eq.iter().rev().take(equals).chain(lt.iter().rev().skip(1));
    out.iter_mut().zip(ordered).take(group.factors).for_each(|(out, factor)| *out = *factor);
}

/// Planes kept from the first pass: lt of the top digit of the high group and of the low group, eq
/// of the top digit of the high group, and the top bit of M.
const KEPT: usize = 4;

impl Comparison for Astra {
    fn parts<R: Ring>(shift: Option<u32>) -> Vec<(Purpose, Part)> {
        let leaves = (Purpose::Leaves, Part::Planes(leaves::<R>()));
        std::iter::once(leaves)
            .chain(Tree::new::<R>().parts())
            .chain(selection::parts(shift))
            .collect()
    }

    fn layouts<R: Ring>(_: Option<u32>) -> Vec<Layout> {
        let factors = Tree::new::<R>().first_factors();
        let planes = [(Purpose::AndMask1, factors), (Purpose::AndMask2, 2), (Purpose::Rho, 1)];
        planes.map(|(purpose, count)| Layout::new([(purpose, Part::Planes(count))])).into()
    }

    fn deal<R: Ring, S: Source>(
        helper: &mut Helper<R, S, Self>,
        r: &[u64],
        msb: Option<(&[u64], u32)>,
        layout: &Layout,
        message: &mut [u64],
    ) {
        let tree = Tree::new::<R>();
        let mut scratch = [0u64; bits::room(LEAVES)];
        for block in blocks(r.len()) {
            let words = block.words();
            let mut digits = [EMPTY; 32];
            vectorized(
                #[inline(always)]
                || {
                    let mut planes = [0u64; bits::room(32)];
                    bits::planes(&r[block.range()], R::WINDOW as usize, &mut planes);
                    load(&planes[..R::WINDOW as usize * words], words, &mut digits);
                },
            );
            let mut planes = |purpose: Purpose, values: &[Plane]| {
                let out = &mut message[layout.at(purpose, block)];
                let alice = &mut scratch[..out.len()];
                helper.with_alice.planes(helper.tag(purpose), values.len(), block, alice);
                store(values, words, out);
                out.iter_mut().zip(alice).for_each(|(out, alice)| *out ^= *alice);
            };
            let mut hot = [EMPTY; LEAVES];
            vectorized(
                #[inline(always)]
                || one_hot::<R>(&digits, &mut hot),
            );
            planes(Purpose::Leaves, &hot[..leaves::<R>()]);
            let mut dealt = [EMPTY; PRODUCTS];
            let masks = common_masks(helper, Purpose::AndMask1, tree.first_factors(), block);
            let count = mask_products(&tree.first, &masks, &mut dealt);
            planes(Purpose::Products1, &dealt[..count]);
            let masks = common_masks(helper, Purpose::AndMask2, tree.second.factors, block);
            let count = mask_products(std::slice::from_ref(&tree.second), &masks, &mut dealt);
            planes(Purpose::Products2, &dealt[..count]);
            planes(Purpose::TopR, &digits[R::WINDOW as usize - 1..][..1]);
            let mut rho = [0u64; PLANE];
            helper.own.planes(helper.tag(Purpose::Rho), 1, block, &mut rho[..words]);
            selection::deal(helper, &rho[..words], r, msb, block, layout, message);
        }
    }

    fn assist<R: Ring, S: Source>(
        _: &mut Helper<R, S, Self>,
        _: &[u64],
        _: Option<(&[u64], u32)>,
    ) -> Result<(), ChannelError> {
        Ok(())
    }

    fn select<R: Ring, S: Source>(
        data: &mut Data<R, S, Self>,
        t: Difference,
    ) -> Result<Masked, ChannelError> {
        let mut climb = Climb::new::<R, S, Self>(data, t.p.len());
        climb.pick_leaves(data, &t);
        if climb.factors > 0 {
            open(data, Step::And1, &mut climb.first)?;
        }
        climb.join_groups(data, &t);
        open(data, Step::And2, &mut climb.second)?;
        let rho = climb.mask_bit(data, &t);
        open(data, Step::Bit, &mut climb.bit)?;

        let y = selection::select(data, &t, &climb.bit, &t.dealt, Some(&rho));
        data.workspace.give(rho);
        climb.finish(data.workspace);
        data.finish(t);
        data.remask(y)
    }
}

/// What alice and bob keep while they climb the tree; planes of all blocks.
struct Climb {
    tree: Tree,
    /// This player adds what is public.
    lead: bool,
    /// Of the first level.
    factors: usize,
    /// See `KEPT`.
    kept: Vec<u64>,
    /// The factors of the first level, shared, masked, and after the exchange opened.
    first: Vec<u64>,
    first_masks: Vec<u64>,
    /// E_high and L_low likewise.
    second: Vec<u64>,
    second_masks: Vec<u64>,
    /// b ⊕ ρ likewise.
    bit: Vec<u64>,
}

impl Climb {
    fn new<R: Ring, S: Source, C>(data: &mut Data<R, S, C>, n: usize) -> Climb {
        let (tree, lead) = (Tree::new::<R>(), data.lead());
        let factors = tree.first_factors();
        let mut planes = |count: usize| data.workspace.take(plane_words(n, count));
        Climb {
            kept: planes(KEPT),
            first: planes(factors),
            first_masks: planes(factors),
            second: planes(2),
            second_masks: planes(2),
            bit: planes(1),
            tree,
            lead,
            factors,
        }
    }

    /// The factors of the first level, from the leaves that the public digits of M pick.
    fn pick_leaves<R: Ring, S: Source, C>(&mut self, data: &Data<R, S, C>, t: &Difference) {
        let (window, count) = (R::WINDOW as usize, self.factors);
        let mut scratch = [0u64; bits::room(LEAVES)];
        for block in blocks(t.p.len()) {
            let words = block.words();
            let one_hot = data.read(&t.dealt, Purpose::Leaves, block, &mut scratch);
            let masks = &mut self.first_masks[block.planes(count)];
            data.with_carol.planes(data.tag(Purpose::AndMask1), count, block, masks);
            let (tree, lead, p) = (&self.tree, self.lead, t.compared::<R>(block));
            let own = &mut self.first[block.planes(count)];
            let kept = &mut self.kept[block.planes(KEPT)];
            vectorized(
                #[inline(always)]
                || {
                    let mut planes = [0u64; bits::room(32)];
                    bits::planes(&p[..block.len], window, &mut planes);
                    let (mut m, mut hot) = ([EMPTY; 32], [EMPTY; LEAVES]);
                    load(&planes[..window * words], words, &mut m);
                    load(one_hot, words, &mut hot);
                    let (mut lt, mut eq) = ([EMPTY; 8], [EMPTY; 8]);
                    pick::<R>(&m, &hot, lead, &mut lt, &mut eq);

                    let (low, all) = (tree.digits[1], R::DIGITS.len());
                    let [high_group, low_group] = &tree.first;
                    let mut open = [EMPTY; FACTORS];
                    factors(high_group, &lt[low..all], &eq[low..all], &mut open);
                    factors(low_group, &lt[..low], &eq[..low], &mut open[high_group.factors..]);
                    store(&open[..count], words, own);
                    own.iter_mut().zip(masks).for_each(|(own, mask)| *own ^= *mask);
                    store(&[lt[all - 1], lt[low - 1], eq[all - 1], m[window - 1]], words, kept);
                },
            );
        }
    }

    /// E_high and L_low, the factors of the second level, from the opened ones of the first; L_high
    /// is kept.
    fn join_groups<R: Ring, S: Source, C>(&mut self, data: &Data<R, S, C>, t: &Difference) {
        let (tree, lead, count) = (&self.tree, self.lead, self.factors);
        let sets = tree.first.each_ref().map(|group| &group.dealt[..]);
        let mut scratch = [0u64; bits::room(LEAVES)];
        for block in blocks(t.p.len()) {
            let words = block.words();
            let dealt = data.read(&t.dealt, Purpose::Products1, block, &mut scratch);
            let second_masks = &mut self.second_masks[block.planes(2)];
            data.with_carol.planes(data.tag(Purpose::AndMask2), 2, block, second_masks);
            let opened = &self.first[block.planes(count)];
            let masks = &self.first_masks[block.planes(count)];
            let kept = &mut self.kept[block.planes(KEPT)];
            let out = &mut self.second[block.planes(2)];
            vectorized(
                #[inline(always)]
                || {
                    let (mut open, mut mask) = ([EMPTY; FACTORS], [EMPTY; FACTORS]);
                    let (mut shares, mut keep) = ([EMPTY; PRODUCTS], [EMPTY; KEPT]);
                    load(opened, words, &mut open);
                    load(masks, words, &mut mask);
                    load(dealt, words, &mut shares);
                    load(kept, words, &mut keep);
                    let (open_high, open_low) = open.split_at(tree.first[0].factors);
                    let (mask_high, mask_low) = mask.split_at(tree.first[0].factors);
                    let (dealt_high, dealt_low) = shares.split_at(sets[0].len());
                    let high =
                        |set: &u8| product(*set, open_high, mask_high, sets[0], dealt_high, lead);
                    let low =
                        |set: &u8| product(*set, open_low, mask_low, sets[1], dealt_low, lead);

                    let above = tree.digits[0] - 1;
                    let [high_group, low_group] = &tree.first;
                    let high_products = high_group.products.iter().take(above);
                    let l_high = high_products.fold(keep[0], |sum, set| xor(&sum, &high(set)));
                    let l_low =
                        low_group.products.iter().fold(keep[1], |sum, set| xor(&sum, &low(set)));
                    let e_high = high_group.products.get(above).map_or(keep[2], high);
                    keep[0] = l_high;
                    store(&keep, words, kept);
                    store(&[e_high, l_low], words, out);
                    out.iter_mut().zip(second_masks).for_each(|(out, mask)| *out ^= *mask);
                },
            );
        }
    }

    /// b ⊕ ρ, from the opened factors of the second level; returns ⟨ρ⟩, which is s of the
    /// selection.
    fn mask_bit<R: Ring, S: Source, C>(
        &mut self,
        data: &mut Data<R, S, C>,
        t: &Difference,
    ) -> Vec<u64> {
        let (sets, lead) = (&self.tree.second.dealt, self.lead);
        let mut rho = data.workspace.take(t.p.len());
        for block in blocks(t.p.len()) {
            let words = block.words();
            let rho = &mut rho[block.range()];
            let mut scratch = [0u64; BLOCK];
            rho.copy_from_slice(data.read(&t.dealt, Purpose::Sigma, block, &mut scratch));
            let (mut dealt, mut top) = ([0u64; PLANE], [0u64; PLANE]);
            let dealt = data.read(&t.dealt, Purpose::Products2, block, &mut dealt);
            let top = data.read(&t.dealt, Purpose::TopR, block, &mut top);
            let opened = &self.second[block.planes(2)];
            let masks = &self.second_masks[block.planes(2)];
            let kept = &self.kept[block.planes(KEPT)];
            let out = &mut self.bit[block.planes(1)];
            vectorized(
                #[inline(always)]
                || {
                    let (mut open, mut mask) = ([EMPTY; 2], [EMPTY; 2]);
                    let (mut keep, mut shares) = ([EMPTY; KEPT], [EMPTY; 2]);
                    load(opened, words, &mut open);
                    load(masks, words, &mut mask);
                    load(kept, words, &mut keep);
                    load(dealt, words, &mut shares);
                    load(top, words, &mut shares[1..]);
                    let lower = product(0b11, &open, &mask, sets, &shares[..1], lead);
                    // b = [t ≥ 0] = 1 ⊕ M_top ⊕ R_top ⊕ [M < R]
                    let mut b = xor(&xor(&keep[0], &lower), &shares[1]);
                    if lead {
                        b.iter_mut().zip(&keep[3]).for_each(|(b, m)| *b = !(*b ^ m));
                    }
                    bits::plane(rho, 0, out);
                    out.iter_mut().zip(&b).for_each(|(out, b)| *out ^= b);
                },
            );
        }
        rho
    }

    fn finish(self, workspace: &mut Workspace) {
        let Climb { kept, first, first_masks, second, second_masks, bit, .. } = self;
        let buffers = [kept, first, first_masks, second, second_masks, bit];
        buffers.into_iter().for_each(|buffer| workspace.give(buffer));
    }
}

/// Exchanges shares of bits; both players have their sum.
fn open<R: Ring, S: Source, C>(
    data: &mut Data<R, S, C>,
    step: Step,
    own: &mut [u64],
) -> Result<(), ChannelError> {
    let theirs = data.exchange(step, own)?;
    own.iter_mut().zip(&theirs).for_each(|(own, theirs)| *own ^= *theirs);
    data.recycle(theirs);
    Ok(())
}

/// The masks of a level's factors, which carol shares with alice and bob each.
fn common_masks<R: Ring, S: Source, C>(
    helper: &Helper<R, S, C>,
    purpose: Purpose,
    count: usize,
    block: Block,
) -> [Plane; FACTORS] {
    let words = block.words();
    let (mut alice, mut bob) = ([0u64; bits::room(FACTORS)], [0u64; bits::room(FACTORS)]);
    let (alice, bob) = (&mut alice[..count * words], &mut bob[..count * words]);
    helper.with_alice.planes(helper.tag(purpose), count, block, alice);
    helper.with_bob.planes(helper.tag(purpose), count, block, bob);
    alice.iter_mut().zip(bob).for_each(|(alice, bob)| *alice ^= *bob);
    let mut out = [EMPTY; FACTORS];
    load(alice, words, &mut out);
    out
}

/// The mask products of all groups; returns how many.
fn mask_products(groups: &[Group], masks: &[Plane], out: &mut [Plane]) -> usize {
    let (mut first, mut count) = (0, 0);
    for group in groups {
        for set in &group.dealt {
            out[count] = conjunction(&masks[first..first + group.factors], *set);
            count += 1;
        }
        first += group.factors;
    }
    count
}
