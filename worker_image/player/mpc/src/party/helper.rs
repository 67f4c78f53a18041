//! carol: deals what the data players need, from masks that she shares with each of them; all of it
//! is independent of the input.

use std::marker::PhantomData;

use crate::block::{blocks, Layout, BLOCK};
use crate::party::truncation;
use crate::random::prg::{Purpose, Source, Tag};
use crate::random::ring::Ring;
use crate::role::Role;
use crate::share_file::Weight;
use crate::simd::bits;
use crate::simd::kernels;
use crate::simd::vectorized;
use crate::{
    Channel, ChannelError, Comparison, Input, Linear, Masked, Product, Protocol, Step, Workspace,
};

/// The helper in one batch.
pub(crate) struct Helper<'a, R, S> {
    pub with_alice: S,
    pub with_bob: S,
    /// A source of her own.
    pub own: S,
    pub channel: &'a mut dyn Channel,
    pub workspace: &'a mut Workspace,
    pub instruction: u32,
    pub level: u16,
    pub ring: PhantomData<R>,
}

impl<R: Ring, S: Source> Helper<'_, R, S> {
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
    fn fresh(&mut self, n: usize) -> Masked {
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
        block: crate::block::Block,
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

    /// Deals a truncation, and what C wants beside it.
    fn deal<C: Comparison>(
        &mut self,
        Product(mut r): Product,
        shift: u32,
        compare: bool,
    ) -> Result<Masked, ChannelError> {
        let n = r.len();
        let more = if compare { C::parts::<R>(Some(shift)) } else { vec![] };
        let layout = Layout::new(truncation::parts(shift).into_iter().chain(more));
        let (mut message, mut rho_m) = (
            self.workspace.take(layout.words(n)),
            self.workspace.take(crate::block::plane_words(n, 1)),
        );
        for block in blocks(n) {
            self.deal_truncation(
                &mut r[block.range()],
                &mut rho_m[block.planes(1)],
                shift,
                block,
                &layout,
                &mut message,
            );
        }
        let msb = Some((&rho_m[..], shift));
        if compare {
            C::deal(self, &r, msb, &layout, &mut message);
        }
        self.send(Step::Deal, message)?;
        if compare {
            C::assist(self, &r, msb)?;
        }
        self.workspace.give(r);
        self.workspace.give(rho_m);
        Ok(self.fresh(n))
    }
}

impl<R: Ring, S: Source, C: Comparison> Protocol<C> for Helper<'_, R, S> {
    fn begin(&mut self, instruction: u32, level: u16) {
        (self.instruction, self.level) = (instruction, level);
    }

    fn workspace(&mut self) -> &mut Workspace {
        self.workspace
    }

    fn input(&mut self, input: Input, n: usize) -> Result<Masked, ChannelError> {
        let Input::Carol { mask } = input else {
            return Err(ChannelError::Ours("the input is for a data player".into()));
        };
        if mask.len() != n {
            return Err(ChannelError::Ours(format!(
                "a mask of {n} elements is needed, this one has {}",
                mask.len()
            )));
        }
        let mut l = mask;
        let mut alice = self.workspace.take(n);
        self.with_alice.words(self.tag(Purpose::Mask), 0, &mut alice);
        l.iter_mut().zip(&alice).for_each(|(l, alice)| *l = R::add(*l, *alice));
        self.workspace.give(alice);
        Ok(Masked { m: vec![], l })
    }

    fn linear(&mut self, x: &Masked, w: &Weight, n: usize, map: Linear) -> Product {
        let mut kappa = self.workspace.take(n);
        if let Weight::Helper { lambda } = w {
            let windows = map.windows(x.l.len(), &mut self.workspace.starts);
            kernels::accumulate(&mut kappa, &[(&x.l, lambda)], &windows);
        }
        Product(kappa)
    }

    fn scale(&mut self, x: &Masked, _: u64) -> Product {
        let mut kappa = self.workspace.take(x.l.len());
        kappa.fill(0);
        Product(kappa)
    }

    fn truncate(&mut self, z: Product, shift: u32) -> Result<Masked, ChannelError> {
        self.deal::<C>(z, shift, false)
    }

    fn relu(&mut self, x: Masked) -> Result<Masked, ChannelError> {
        let n = x.l.len();
        let layout = Layout::new(C::parts::<R>(None));
        let mut message = self.workspace.take(layout.words(n));
        C::deal(self, &x.l, None, &layout, &mut message);
        self.send(Step::Deal, message)?;
        C::assist(self, &x.l, None)?;
        self.workspace.give(x.l);
        Ok(self.fresh(n))
    }

    fn truncate_relu(&mut self, z: Product, shift: u32) -> Result<Masked, ChannelError> {
        self.deal::<C>(z, shift, true)
    }

    fn output(&mut self, _: Masked) -> Option<Vec<u64>> {
        None
    }

    fn truncate_output(
        &mut self,
        Product(mut r): Product,
        shift: u32,
    ) -> Result<Option<Vec<u64>>, ChannelError> {
        let layout = Layout::new(truncation::parts(shift));
        let mut message = self.workspace.take(layout.words(r.len()));
        let mut rho_m = [0u64; bits::room(1)];
        for block in blocks(r.len()) {
            self.deal_truncation(
                &mut r[block.range()],
                &mut rho_m[..block.words()],
                shift,
                block,
                &layout,
                &mut message,
            );
        }
        self.send(Step::Deal, message)?;
        Ok(None)
    }
}
