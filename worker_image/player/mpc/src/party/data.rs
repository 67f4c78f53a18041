//! alice and bob: masked sharing. docs/protocol.md has the formulas, in the same names; the order
//! in which they are computed, block by block, is here.

use std::marker::PhantomData;

use super::base::Party;
use super::truncation;
use crate::block::{blocks, plane_words, Block, BLOCK};
use crate::channel::{Channel, ChannelError};
use crate::message::{Layout, Part, Step};
use crate::random::prg::Source;
use crate::random::ring::Ring;
use crate::random::tag::{Purpose, Tag};
use crate::role::Role;
use crate::simd::{bits, vectorized};
use crate::values::{Masked, Product};
use crate::workspace::Workspace;

/// A data player in one batch.
pub(crate) struct Data<'a, R, S, C> {
    pub role: Role,
    pub with_carol: S,
    pub with_peer: S,
    channel: &'a mut dyn Channel,
    pub workspace: &'a mut Workspace,
    instruction: u32,
    level: u16,
    protocol: PhantomData<(R, C)>,
}

/// What carol dealt: alice reads her part from their common stream, bob gets his in a message.
pub(crate) struct Dealt {
    layout: Layout,
    message: Option<Vec<u64>>,
}

impl Dealt {
    /// bob's part; empty for alice.
    pub(crate) fn bobs(&self, purpose: Purpose, block: Block) -> &[u64] {
        self.message.as_ref().map_or(&[], |message| &message[self.layout.at(purpose, block)])
    }
}

/// t = P − R + f·ρ_m: P is public to the data players, R and ρ_m are shared.
pub(crate) struct Difference {
    pub p: Vec<u64>,
    /// What t is compared with.
    threshold: u64,
    /// The share of R, if it was not dealt.
    r: Option<Vec<u64>>,
    msb: Option<Msb>,
    pub dealt: Dealt,
}

/// The correction of a truncation by the opened most significant bit: f = k·(1 − 2c), k = 2^(SIGN −
/// shift).
struct Msb {
    /// The planes of c.
    c: Vec<u64>,
    shift: u32,
}

impl Difference {
    /// A masked value x = m − λ, with what carol dealt for it.
    pub(crate) fn of_masked(x: Masked, dealt: Dealt) -> Difference {
        Difference { p: x.m, threshold: 0, r: Some(x.l), msb: None, dealt }
    }

    /// The same to be compared with another number than 0.
    pub(crate) fn compared_with(self, threshold: u64) -> Difference {
        Difference { threshold, ..self }
    }

    /// What a comparison takes for P: t − threshold = (P − threshold) − R + f·ρ_m. Past the block
    /// are zeros.
    pub(crate) fn compared<R: Ring>(&self, block: Block) -> [u64; BLOCK] {
        let mut out = [0; BLOCK];
        out[..block.len].copy_from_slice(&self.p[block.range()]);
        if self.threshold != 0 {
            out[..block.len].iter_mut().for_each(|p| *p = R::sub(*p, self.threshold));
        }
        out
    }

    pub(crate) fn shift(&self) -> Option<u32> {
        self.msb.as_ref().map(|msb| msb.shift)
    }
}

impl<'a, R: Ring, S: Source, C> Data<'a, R, S, C> {
    pub(crate) fn new(
        role: Role,
        with_carol: S,
        with_peer: S,
        channel: &'a mut dyn Channel,
        workspace: &'a mut Workspace,
    ) -> Self {
        let (instruction, level, protocol) = (0, 0, PhantomData);
        Data { role, with_carol, with_peer, channel, workspace, instruction, level, protocol }
    }

    /// Whether this player adds what is public.
    pub(crate) fn lead(&self) -> bool {
        self.role == Role::Alice
    }

    fn peer(&self) -> Role {
        if self.lead() {
            Role::Bob
        } else {
            Role::Alice
        }
    }

    pub(crate) fn tag(&self, purpose: Purpose) -> Tag {
        Tag { instruction: self.instruction, level: self.level, purpose }
    }

    pub(crate) fn send(&mut self, to: Role, step: Step, words: &[u64]) -> Result<(), ChannelError> {
        self.channel.send(to, self.instruction, step.at(self.level), words)
    }

    pub(crate) fn recv(
        &mut self,
        from: Role,
        step: Step,
        words: usize,
    ) -> Result<Vec<u64>, ChannelError> {
        self.channel.recv(from, self.instruction, step.at(self.level), words)
    }

    /// Sends words to the other data player and gets as many back: one hop.
    pub(crate) fn exchange(&mut self, step: Step, words: &[u64]) -> Result<Vec<u64>, ChannelError> {
        let peer = self.peer();
        self.send(peer, step, words)?;
        self.recv(peer, step, words.len())
    }

    /// Hands back the buffer of a message from the other data player.
    pub(crate) fn recycle(&mut self, theirs: Vec<u64>) {
        self.channel.recycle(self.peer(), theirs);
    }

    /// carol's message for `n` elements.
    pub(crate) fn dealt(
        &mut self,
        step: Step,
        layout: Layout,
        n: usize,
    ) -> Result<Dealt, ChannelError> {
        let message = match self.role {
            Role::Alice => None,
            _ => Some(self.recv(Role::Carol, step, layout.words(n))?),
        };
        Ok(Dealt { layout, message })
    }

    /// This player's part of what carol dealt for a block; `scratch` has room for it.
    pub(crate) fn read<'s>(
        &self,
        dealt: &'s Dealt,
        purpose: Purpose,
        block: Block,
        scratch: &'s mut [u64],
    ) -> &'s [u64] {
        if dealt.message.is_some() {
            return dealt.bobs(purpose, block);
        }
        match dealt.layout.part(purpose) {
            Part::Planes(count) => {
                let out = &mut scratch[..count * block.words()];
                self.with_carol.planes(self.tag(purpose), count, block, out);
                out
            }
            _ => {
                let out = &mut scratch[..block.len];
                self.with_carol.words(self.tag(purpose), block.first, out);
                out
            }
        }
    }

    pub(crate) fn discard(&mut self, dealt: Dealt) {
        dealt.message.into_iter().for_each(|message| self.channel.recycle(Role::Carol, message));
    }

    pub(crate) fn finish(&mut self, t: Difference) {
        self.discard(t.dealt);
        [Some(t.p), t.r, t.msb.map(|msb| msb.c)]
            .into_iter()
            .flatten()
            .for_each(|buffer| self.workspace.give(buffer));
    }

    /// Turns a share into a masked value, with a fresh λ: one exchange.
    pub(crate) fn remask(&mut self, mut share: Vec<u64>) -> Result<Masked, ChannelError> {
        let mut l = self.workspace.take(share.len());
        for block in blocks(share.len()) {
            let (share, l) = (&mut share[block.range()], &mut l[block.range()]);
            self.with_carol.words(self.tag(Purpose::Mask), block.first, l);
            vectorized(
                #[inline(always)]
                || add_into::<R>(share, l),
            );
        }
        let theirs = self.exchange(Step::Mask, &share)?;
        vectorized(
            #[inline(always)]
            || add_into::<R>(&mut share, &theirs),
        );
        self.recycle(theirs);
        Ok(Masked { m: share, l })
    }

    /// Opens o = z + r + OFFSET, which gives t = ⌊z / 2^shift⌋ (or one more) as a difference.
    pub(crate) fn open(
        &mut self,
        Product(mut z): Product,
        shift: u32,
        more: Vec<(Purpose, Part)>,
    ) -> Result<Difference, ChannelError> {
        let n = z.len();
        self.hide(&mut z);
        let theirs = self.exchange(Step::Open, &z)?;

        let mut c = self.workspace.take(plane_words(n, 1));
        for block in blocks(n) {
            let (z, theirs) = (&mut z[block.range()], &theirs[block.range()]);
            Self::truncate_opened(z, theirs, shift, &mut c[block.planes(1)]);
        }
        self.recycle(theirs);

        let layout = Layout::new(truncation::parts(shift).into_iter().chain(more));
        let dealt = self.dealt(Step::Deal, layout, n)?;
        Ok(Difference { p: z, threshold: 0, r: None, msb: Some(Msb { c, shift }), dealt })
    }

    /// Adds this player's share of r.
    fn hide(&self, z: &mut [u64]) {
        let mut gamma = [0u64; BLOCK];
        for block in blocks(z.len()) {
            let (z, gamma) = (&mut z[block.range()], &mut gamma[..block.len]);
            self.with_carol.words(self.tag(Purpose::Gamma), block.first, gamma);
            vectorized(
                #[inline(always)]
                || add_into::<R>(z, gamma),
            );
        }
    }

    /// Turns a block of this player's shares of z + r, with the other's, into P; `c` becomes the
    /// plane of the opened most significant bits.
    fn truncate_opened(p: &mut [u64], theirs: &[u64], shift: u32, c: &mut [u64]) {
        let k = 1u64 << (R::SIGN - shift);
        vectorized(
            #[inline(always)]
            || {
                for (p, theirs) in p.iter_mut().zip(theirs) {
                    *p = R::add(p.wrapping_add(*theirs), R::OFFSET);
                }
                bits::plane(p, R::SIGN, c);
                for p in p.iter_mut() {
                    let msb = *p >> R::SIGN;
                    *p = R::add(
                        ((*p & R::LOW) >> shift).wrapping_sub(R::OFFSET >> shift),
                        k.wrapping_mul(msb),
                    );
                }
            },
        );
    }

    /// ±(ρ << (SIGN − shift)) by the bits of c, added to `out`; `rho`: shares modulo 2^(shift + 1),
    /// as planes.
    fn add_correction(msb: &Msb, block: Block, rho: &[u64], out: &mut [u64]) {
        let (mut values, mut c) = ([0u64; BLOCK], [0u64; BLOCK]);
        let (values, c) = (&mut values[..block.len], &mut c[..block.len]);
        vectorized(
            #[inline(always)]
            || {
                bits::values(rho, msb.shift as usize + 1, values);
                bits::masks(&msb.c[block.planes(1)], c);
                for ((out, value), c) in out.iter_mut().zip(values).zip(c) {
                    let term = *value << (R::SIGN - msb.shift);
                    *out = R::add(*out, (term ^ *c).wrapping_sub(*c));
                }
            },
        );
    }

    /// This player's additive share of t.
    pub(crate) fn share(&self, t: &Difference, block: Block, out: &mut [u64]) {
        let mut scratch = [0u64; BLOCK];
        let r = match &t.r {
            Some(r) => &r[block.range()],
            None => self.read(&t.dealt, Purpose::R, block, &mut scratch),
        };
        let (lead, p) = (self.lead(), &t.p[block.range()]);
        vectorized(
            #[inline(always)]
            || {
                for ((out, r), p) in out.iter_mut().zip(r).zip(p) {
                    *out = R::sub(if lead { *p } else { 0 }, *r);
                }
            },
        );
        if let Some(msb) = &t.msb {
            let mut scratch = [0u64; bits::room(32)];
            Self::add_correction(
                msb,
                block,
                self.read(&t.dealt, Purpose::RhoM, block, &mut scratch),
                out,
            );
        }
    }

    /// This player's additive share of s·t, from what carol dealt of s.
    pub(crate) fn share_of_product(
        &self,
        t: &Difference,
        second: &Dealt,
        s: &[u64],
        block: Block,
        out: &mut [u64],
    ) {
        let mut scratch = [0u64; BLOCK];
        let s_r = self.read(second, Purpose::SigmaR, block, &mut scratch);
        let p = &t.p[block.range()];
        vectorized(
            #[inline(always)]
            || {
                for (((out, s), p), s_r) in out.iter_mut().zip(s).zip(p).zip(s_r) {
                    *out = R::sub(s.wrapping_mul(*p), *s_r);
                }
            },
        );
        if let Some(msb) = &t.msb {
            let mut scratch = [0u64; bits::room(32)];
            Self::add_correction(
                msb,
                block,
                self.read(second, Purpose::SigmaRhoM, block, &mut scratch),
                out,
            );
        }
    }

    /// An additive share of t, for all elements.
    pub(crate) fn shares(&mut self, t: Difference) -> Vec<u64> {
        let mut out = self.workspace.take(t.p.len());
        for block in blocks(t.p.len()) {
            self.share(&t, block, &mut out[block.range()]);
        }
        self.finish(t);
        out
    }

    /// An additive share of a masked value.
    pub(crate) fn share_of_masked(&mut self, x: Masked) -> Vec<u64> {
        let dealt = Dealt { layout: Layout::new([]), message: None };
        self.shares(Difference::of_masked(x, dealt))
    }

    /// An output share: a fresh sharing of the same value.
    pub(crate) fn rerandomized(&mut self, mut t: Vec<u64>) -> Vec<u64> {
        let (lead, mut zero) = (self.lead(), [0u64; BLOCK]);
        for block in blocks(t.len()) {
            let (t, zero) = (&mut t[block.range()], &mut zero[..block.len]);
            self.with_peer.words(self.tag(Purpose::Zero), block.first, zero);
            for (t, zero) in t.iter_mut().zip(zero) {
                *t = if lead { R::add(*t, *zero) } else { R::sub(*t, *zero) };
            }
        }
        t
    }
}

#[inline(always)]
pub(crate) fn add_into<R: Ring>(a: &mut [u64], b: &[u64]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a = R::add(*a, *b);
    }
}

impl<R: Ring, S: Source, C> Party for Data<'_, R, S, C> {
    fn begin(&mut self, instruction: u32, level: u16) {
        (self.instruction, self.level) = (instruction, level);
    }

    fn workspace(&mut self) -> &mut Workspace {
        self.workspace
    }
}
