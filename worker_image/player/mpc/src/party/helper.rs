//! carol: deals what the data players need, from masks that she shares with each of them. None of
//! it depends on the input.

use std::marker::PhantomData;

use super::base::Party;
use crate::block::{blocks, plane_words, Block, BLOCK};
use crate::channel::{Channel, ChannelError};
use crate::message::{Layout, Step};
use crate::random::prg::Source;
use crate::random::ring::Ring;
use crate::random::tag::{Purpose, Tag};
use crate::role::Role;
use crate::simd::{bits, vectorized};
use crate::values::Masked;
use crate::workspace::Workspace;

/// The helper in one batch.
pub(crate) struct Helper<'a, R, S, C> {
    pub with_alice: S,
    pub with_bob: S,
    /// A source of her own.
    pub own: S,
    pub channel: &'a mut dyn Channel,
    pub workspace: &'a mut Workspace,
    instruction: u32,
    level: u16,
    protocol: PhantomData<(R, C)>,
}

impl<'a, R: Ring, S: Source, C> Helper<'a, R, S, C> {
    pub(crate) fn new(
        with_alice: S,
        with_bob: S,
        own: S,
        channel: &'a mut dyn Channel,
        workspace: &'a mut Workspace,
    ) -> Self {
        let (instruction, level, protocol) = (0, 0, PhantomData);
        Helper { with_alice, with_bob, own, channel, workspace, instruction, level, protocol }
    }

    pub(crate) fn tag(&self, purpose: Purpose) -> Tag {
        Tag { instruction: self.instruction, level: self.level, purpose }
    }

    /// Sends a message to bob; alice never gets one from carol.
    pub(crate) fn send(&mut self, step: Step, message: Vec<u64>) -> Result<(), ChannelError> {
        self.channel.send(Role::Bob, self.instruction, step.at(self.level), &message)?;
        self.workspace.give(message);
        Ok(())
    }

    pub(crate) fn recv(
        &mut self,
        from: Role,
        step: Step,
        words: usize,
    ) -> Result<Vec<u64>, ChannelError> {
        self.channel.recv(from, self.instruction, step.at(self.level), words)
    }

    /// λ of a fresh mask of both data players.
    pub(crate) fn fresh(&mut self, n: usize) -> Masked {
        let mut l = self.workspace.take(n);
        let mut theirs = [0u64; BLOCK];
        for block in blocks(n) {
            let (l, theirs) = (&mut l[block.range()], &mut theirs[..block.len]);
            self.with_alice.words(self.tag(Purpose::Mask), block.first, l);
            self.with_bob.words(self.tag(Purpose::Mask), block.first, theirs);
            l.iter_mut().zip(theirs).for_each(|(l, theirs)| *l = R::add(*l, *theirs));
        }
        Masked { m: vec![], l }
    }

    /// Deals values as additive shares: alice's come from the common stream, bob's go into his
    /// message.
    pub(crate) fn deal_words(
        &self,
        purpose: Purpose,
        first: usize,
        values: &[u64],
        out: &mut [u64],
    ) {
        self.with_alice.words(self.tag(purpose), first, out);
        out.iter_mut().zip(values).for_each(|(out, v)| *out = R::sub(*v, *out));
    }

    /// Deals what the truncation of a block needs. `r` is κ at first; it becomes R, and `rho_m` the
    /// plane of ρ_m.
    fn deal_truncation(
        &self,
        r: &mut [u64],
        rho_m: &mut [u64],
        shift: u32,
        block: Block,
        layout: &Layout,
        message: &mut [u64],
    ) {
        let (mut alice, mut bob, mut planes) =
            ([0u64; BLOCK], [0u64; BLOCK], [0u64; bits::room(32)]);
        let (alice, bob) = (&mut alice[..block.len], &mut bob[..block.len]);
        let count = shift as usize + 1;
        let planes = &mut planes[..count * block.words()];
        self.with_alice.words(self.tag(Purpose::Gamma), block.first, alice);
        self.with_bob.words(self.tag(Purpose::Gamma), block.first, bob);
        self.with_alice.planes(self.tag(Purpose::RhoM), count, block, planes);
        let rho_message = &mut message[layout.at(Purpose::RhoM, block)];
        vectorized(
            #[inline(always)]
            || {
                for ((r, alice), bob) in r.iter_mut().zip(alice).zip(bob) {
                    *r = R::sub(alice.wrapping_add(*bob), *r);
                }
                bits::plane(r, R::SIGN, rho_m);
                r.iter_mut().for_each(|r| *r = (*r & R::LOW) >> shift);
                bits::subtract(rho_m, planes, rho_message);
            },
        );
        self.deal_words(Purpose::R, block.first, r, &mut message[layout.at(Purpose::R, block)]);
    }

    /// Deals what a truncation needs of all elements. `r` is κ at first and becomes R; the result
    /// is the plane of ρ_m.
    pub(crate) fn deal_truncations(
        &mut self,
        r: &mut [u64],
        shift: u32,
        layout: &Layout,
        message: &mut [u64],
    ) -> Vec<u64> {
        let mut rho_m = self.workspace.take(plane_words(r.len(), 1));
        for block in blocks(r.len()) {
            let (r, rho_m) = (&mut r[block.range()], &mut rho_m[block.planes(1)]);
            self.deal_truncation(r, rho_m, shift, block, layout, message);
        }
        rho_m
    }
}

impl<R: Ring, S: Source, C> Party for Helper<'_, R, S, C> {
    fn begin(&mut self, instruction: u32, level: u16) {
        (self.instruction, self.level) = (instruction, level);
    }

    fn workspace(&mut self) -> &mut Workspace {
        self.workspace
    }
}
