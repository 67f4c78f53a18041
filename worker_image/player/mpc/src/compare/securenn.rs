//! SecureNN's comparison: carol's private compare (docs/protocol.md, SecureNN; Wagh, Gupta,
//! Chandran, PoPETs 2019, section 3).
//!
//! alice and bob know M, carol knows R, and nobody may learn [M < R]. carol shares the bits of R
//! modulo p; alice and bob turn them into entries of which one is zero exactly if R > M (or, if
//! their coin β is 1, if R ≤ M), rotate, scale and blind them; carol sees whether there is a zero:
//! a uniform bit.

use super::comparison::Comparison;
use super::digits::{self, chunk, Digit, Digits, Triples, LANES, NO_DIGITS, NO_TRIPLES};
use super::selection;
use crate::block::{blocks, plane_words, Block, BLOCK};
use crate::channel::ChannelError;
use crate::message::{Layout, Part, Step};
use crate::party::data::{Data, Difference};
use crate::party::helper::Helper;
use crate::random::prg::{Source, Triples as _};
use crate::random::ring::Ring;
use crate::random::tag::Purpose;
use crate::role::Role;
use crate::simd::{bits, vectorized};
use crate::values::Masked;

pub(crate) struct SecureNn;

fn compared<R: Ring>() -> usize {
    R::WINDOW as usize - 1
}

fn entries_layout<R: Ring>() -> Layout {
    Layout::new([(Purpose::Bits, Part::Triples(R::TRIPLES))])
}

/// The entries of chunk `at`. `m`: the public values; `x`: this player's shares of the bits of R;
/// `lead`: this player adds what is public.
#[inline(always)]
fn entries<R: Ring>(
    lead: bool,
    m: &[u64; BLOCK],
    x: &Triples,
    at: usize,
    beta: &Digit,
    c: &mut Digits,
) {
    let (p, one, m) = (R::PRIME as u8, u8::from(lead), chunk(m, at));
    let mut bytes = [[0u8; LANES]; 4];
    for (k, byte) in bytes.iter_mut().enumerate() {
        for e in 0..LANES {
            byte[e] = (m[e] >> (8 * k)) as u8;
        }
    }
    let mut differences = [0u8; LANES];
    for t in (0..R::TRIPLES).rev() {
        let shares = digits::unpack(&x[t], at, R::PRIME);
        for i in (3 * t..3 * t + 3).rev().filter(|i| *i < compared::<R>()) {
            let (x, entry, byte) = (&shares[i - 3 * t], &mut c[i], &bytes[i / 8]);
            for e in 0..LANES {
                let r = byte[e] >> (i % 8) & 1;
                let public = one & r;
                let (r_minus_x, x_minus_r) = (public + p - x[e], x[e] + p - public);
                let signed = if beta[e] == 0 { r_minus_x } else { x_minus_r };
                entry[e] = digits::reduce::<R>(signed + one + differences[e]);
                let differs = if r == 0 { x[e] } else { one + p - x[e] };
                differences[e] = digits::reduce::<R>(differences[e] + differs);
            }
        }
    }
    for e in 0..LANES {
        c[R::ENTRIES - 1][e] = digits::reduce::<R>(differences[e] + (one & (beta[e] ^ 1)));
    }
}

/// Entry j becomes entry j + rotation, cyclically; the result is in one of the two, by the parity
/// of the steps.
#[inline(always)]
fn rotate<'d, R: Ring>(
    entries: &'d mut Digits,
    other: &'d mut Digits,
    rotation: &Digit,
) -> &'d mut Digits {
    let (mut from, mut to) = (entries, other);
    let mut step = 1;
    while step < R::ENTRIES {
        let mut moves = [0u8; LANES];
        for e in 0..LANES {
            moves[e] = u8::from(rotation[e] & step as u8 != 0).wrapping_neg();
        }
        for j in 0..R::ENTRIES {
            let (here, there) = (from[j], from[(j + step) % R::ENTRIES]);
            for e in 0..LANES {
                to[j][e] = here[e] ^ (here[e] ^ there[e]) & moves[e];
            }
        }
        std::mem::swap(&mut from, &mut to);
        step *= 2;
    }
    from
}

/// Entry by entry scale·c + blind (bob: − blind) modulo p, with 1 ≤ scale < p; packed.
#[inline(always)]
fn scale_and_blind<R: Ring>(
    entries: &mut Digits,
    scale: &Triples,
    blind: &Triples,
    at: usize,
    lead: bool,
    out: &mut Triples,
) {
    let p = R::PRIME;
    for t in 0..R::TRIPLES {
        let (scales, blinds) =
            (digits::unpack(&scale[t], at, p - 1), digits::unpack(&blind[t], at, p));
        for i in 0..3 {
            let entry = &mut entries[3 * t + i];
            for e in 0..LANES {
                let blind = u16::from(blinds[i][e]);
                let product = u16::from(entry[e]) * (u16::from(scales[i][e]) + 1);
                entry[e] = ((product + if lead { blind } else { p - blind }) % p) as u8;
            }
        }
        digits::pack::<R>(&entries[3 * t..3 * t + 3], &mut out[t], at);
    }
}

/// A bit for each element of chunk `at`: whether there is a zero among the sums of its entries.
#[inline(always)]
fn has_zero<R: Ring>(a: &Triples, b: &Triples, at: usize) -> u64 {
    let mut found = [0u8; LANES];
    for t in 0..R::TRIPLES {
        let (a, b) = (digits::unpack(&a[t], at, R::PRIME), digits::unpack(&b[t], at, R::PRIME));
        for i in (0..3).filter(|i| 3 * t + i < R::ENTRIES) {
            for e in 0..LANES {
                found[e] |= u8::from(digits::reduce::<R>(a[i][e] + b[i][e]) == 0);
            }
        }
    }
    found.iter().enumerate().fold(0, |acc, (e, bit)| acc | u64::from(*bit) << e)
}

/// Shares of the bits of R for bob: x − a, where alice's a are in `triples` at first.
#[inline(always)]
fn bits_for_bob<R: Ring>(r: &[u64; BLOCK], triples: &mut Triples, at: usize) {
    let r = chunk(r, at);
    for (t, plane) in triples.iter_mut().enumerate().take(R::TRIPLES) {
        let mut digits = digits::unpack(plane, at, R::PRIME);
        for (i, digit) in digits.iter_mut().enumerate() {
            let bit = 3 * t + i;
            for e in 0..LANES {
                let x = if bit < compared::<R>() { (r[e] >> bit) as u8 & 1 } else { 0 };
                digit[e] = digits::reduce::<R>(x + R::PRIME as u8 - digit[e]);
            }
        }
        digits::pack::<R>(&digits, plane, at);
    }
}

/// The bits of a word, one per lane.
#[inline(always)]
fn spread(word: u64) -> Digit {
    let mut out = [0; LANES];
    for (e, bit) in out.iter_mut().enumerate() {
        *bit = (word >> e) as u8 & 1;
    }
    out
}

/// A block's values, with room for whole chunks.
fn whole(values: &[u64]) -> [u64; BLOCK] {
    let mut out = [0; BLOCK];
    out[..values.len()].copy_from_slice(values);
    out
}

impl Comparison for SecureNn {
    fn parts<R: Ring>(_: Option<u32>) -> Vec<(Purpose, Part)> {
        vec![(Purpose::Bits, Part::Triples(R::TRIPLES))]
    }

    fn layouts<R: Ring>(shift: Option<u32>) -> Vec<Layout> {
        vec![entries_layout::<R>(), Layout::new(selection::parts(shift))]
    }

    fn deal<R: Ring, S: Source>(
        helper: &mut Helper<R, S, Self>,
        r: &[u64],
        _: Option<(&[u64], u32)>,
        layout: &Layout,
        message: &mut [u64],
    ) {
        let mut alice = helper.with_alice.triples(helper.tag(Purpose::Bits));
        let mut shares = NO_TRIPLES;
        for block in blocks(r.len()) {
            alice.fill(R::PRIME, block, &mut shares[..R::TRIPLES]);
            let r = whole(&r[block.range()]);
            vectorized(
                #[inline(always)]
                || (0..block.words()).for_each(|at| bits_for_bob::<R>(&r, &mut shares, at)),
            );
            digits::to_message::<R>(&shares, block, &mut message[layout.at(Purpose::Bits, block)]);
        }
    }

    /// Receives the entries, and deals s = [a zero was there] ⊕ R_top, s·R and s·ρ_m.
    fn assist<R: Ring, S: Source>(
        helper: &mut Helper<R, S, Self>,
        r: &[u64],
        msb: Option<(&[u64], u32)>,
    ) -> Result<(), ChannelError> {
        let n = r.len();
        let layout = entries_layout::<R>();
        let alice = helper.recv(Role::Alice, Step::Entries, layout.words(n))?;
        let bob = helper.recv(Role::Bob, Step::Entries, layout.words(n))?;
        let second = Layout::new(selection::parts(msb.map(|(_, shift)| shift)));
        let mut message = helper.workspace.take(second.words(n));
        let (mut a, mut b) = (NO_TRIPLES, NO_TRIPLES);
        for block in blocks(n) {
            digits::from_message::<R>(&alice[layout.at(Purpose::Bits, block)], block, &mut a);
            digits::from_message::<R>(&bob[layout.at(Purpose::Bits, block)], block, &mut b);
            let mut s = [0u64; bits::room(1)];
            vectorized(
                #[inline(always)]
                || {
                    bits::plane(&r[block.range()], R::WINDOW - 1, &mut s);
                    s.iter_mut()
                        .enumerate()
                        .take(block.words())
                        .for_each(|(at, s)| *s ^= has_zero::<R>(&a, &b, at));
                },
            );
            selection::deal(helper, &s[..block.words()], r, msb, block, &second, &mut message);
        }
        helper.channel.recycle(Role::Alice, alice);
        helper.channel.recycle(Role::Bob, bob);
        helper.send(Step::Select, message)
    }

    fn select<R: Ring, S: Source>(
        data: &mut Data<R, S, Self>,
        t: Difference,
    ) -> Result<Masked, ChannelError> {
        let n = t.p.len();
        let (mut message, mut b_public) = (
            data.workspace.take(entries_layout::<R>().words(n)),
            data.workspace.take(plane_words(n, 1)),
        );
        compare(data, &t, &mut message, &mut b_public);
        data.send(Role::Carol, Step::Entries, &message)?;
        data.workspace.give(message);
        let second = data.dealt(Step::Select, Layout::new(selection::parts(t.shift())), n)?;
        let y = selection::select(data, &t, &b_public, &second, None);
        data.workspace.give(b_public);
        data.discard(second);
        data.finish(t);
        data.remask(y)
    }
}

/// A data player's entries for carol, and the public part of b = [t ≥ 0] = b_public ⊕ s, where s is
/// what carol makes of the entries.
fn compare<R: Ring, S: Source, C>(
    data: &Data<R, S, C>,
    t: &Difference,
    message: &mut [u64],
    b_public: &mut [u64],
) {
    let (lead, layout) = (data.lead(), entries_layout::<R>());
    let mut draws = Draws::new(data);
    let (mut c, mut spare, mut out) = (NO_DIGITS, NO_DIGITS, NO_TRIPLES);
    for block in blocks(t.p.len()) {
        draws.fill(data, t, block);
        let Draws { x, scale, blind, rotation, beta, .. } = &draws;
        let p = t.compared::<R>(block);
        let b_public = &mut b_public[block.planes(1)];
        vectorized(
            #[inline(always)]
            || {
                bits::plane(&p[..block.len], R::WINDOW - 1, b_public);
                for (at, public) in b_public.iter_mut().enumerate() {
                    *public ^= !beta[at];
                    entries::<R>(lead, &p, x, at, &spread(beta[at]), &mut c);
                    let rotated = rotate::<R>(&mut c, &mut spare, chunk(rotation, at));
                    scale_and_blind::<R>(rotated, scale, blind, at, lead, &mut out);
                }
            },
        );
        digits::to_message::<R>(&out, block, &mut message[layout.at(Purpose::Bits, block)]);
    }
}

/// What a data player draws for the entries, block by block.
struct Draws<'a, S: Source + 'a> {
    /// alice's shares of the bits of R; bob's are dealt.
    shares: S::Triples<'a>,
    scales: S::Triples<'a>,
    blinds: S::Triples<'a>,
    /// This block's.
    x: Triples,
    scale: Triples,
    blind: Triples,
    rotation: [u8; BLOCK],
    beta: [u64; bits::room(1)],
}

impl<'a, S: Source> Draws<'a, S> {
    #[inline(always)]
    fn new<R: Ring, C>(data: &'a Data<R, S, C>) -> Self {
        Draws {
            shares: data.with_carol.triples(data.tag(Purpose::Bits)),
            scales: data.with_peer.triples(data.tag(Purpose::Scale)),
            blinds: data.with_peer.triples(data.tag(Purpose::Blind)),
            x: NO_TRIPLES,
            scale: NO_TRIPLES,
            blind: NO_TRIPLES,
            rotation: [0; BLOCK],
            beta: [0; bits::room(1)],
        }
    }

    #[inline(always)]
    fn fill<R: Ring, C>(&mut self, data: &Data<R, S, C>, t: &Difference, block: Block) {
        if data.lead() {
            self.shares.fill(R::PRIME, block, &mut self.x[..R::TRIPLES]);
        } else {
            digits::from_message::<R>(t.dealt.bobs(Purpose::Bits, block), block, &mut self.x);
        }
        self.scales.fill(R::PRIME - 1, block, &mut self.scale[..R::TRIPLES]);
        self.blinds.fill(R::PRIME, block, &mut self.blind[..R::TRIPLES]);

        let rotation = &mut self.rotation[..block.len];
        data.with_peer.below(data.tag(Purpose::Rotation), R::ENTRIES, block, rotation);
        let beta = &mut self.beta[..block.words()];
        data.with_peer.planes(data.tag(Purpose::Beta), 1, block, beta);
    }
}
