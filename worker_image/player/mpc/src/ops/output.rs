//! output, truncate_output: fresh shares for the client that asked.

use serde::Deserialize;

use super::form::{check_shift, Earlier, Form, Shape};
use super::op::{facts, Op};
use crate::channel::ChannelError;
use crate::message::{Layout, Step};
use crate::party::base::Party;
use crate::party::data::Data;
use crate::party::helper::Helper;
use crate::party::truncation;
use crate::protocol::ProtocolName;
use crate::random::prg::Source;
use crate::random::ring::Ring;
use crate::random::tag::Purpose;
use crate::values::{Masked, Product, Running};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Output {
    shape: Shape,
    r#in: [usize; 1],
}

impl Op for Output {
    facts!("output");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        Ok((earlier.truncated(self.r#in[0])?.to_vec(), Form::Nothing))
    }
}

impl Output {
    pub(crate) fn run(
        &self,
        party: &mut dyn PutsOut,
        running: &mut Running<'_>,
    ) -> Option<Vec<u64>> {
        let x = running.take_masked(self.r#in[0], party.workspace());
        party.output(x)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TruncateOutput {
    shape: Shape,
    r#in: [usize; 1],
    pub(crate) shift: u32,
}

impl Op for TruncateOutput {
    facts!("truncate_output");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        check_shift(self.shift)?;
        Ok((earlier.product(self.r#in[0])?.to_vec(), Form::Nothing))
    }

    fn messages(&self, _: ProtocolName) -> Vec<Layout> {
        vec![Layout::new(truncation::parts(self.shift)), Layout::of_words(Purpose::Gamma)]
    }
}

impl TruncateOutput {
    pub(crate) fn run(
        &self,
        party: &mut dyn PutsOut,
        running: &mut Running<'_>,
    ) -> Result<Option<Vec<u64>>, ChannelError> {
        let z = running.take_product(self.r#in[0], party.workspace());
        party.truncate_output(z, self.shift)
    }
}

/// A party's part in an output: the share that goes to the client; the helper has none.
pub(crate) trait PutsOut: Party {
    fn output(&mut self, x: Masked) -> Option<Vec<u64>>;
    fn truncate_output(&mut self, z: Product, shift: u32)
        -> Result<Option<Vec<u64>>, ChannelError>;
}

impl<R: Ring, S: Source, C> PutsOut for Data<'_, R, S, C> {
    fn output(&mut self, x: Masked) -> Option<Vec<u64>> {
        let t = self.share_of_masked(x);
        Some(self.rerandomized(t))
    }

    fn truncate_output(
        &mut self,
        z: Product,
        shift: u32,
    ) -> Result<Option<Vec<u64>>, ChannelError> {
        let t = self.open(z, shift, vec![])?;
        let share = self.shares(t);
        Ok(Some(self.rerandomized(share)))
    }
}

impl<R: Ring, S: Source, C> PutsOut for Helper<'_, R, S, C> {
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
        let rho_m = self.deal_truncations(&mut r, shift, &layout, &mut message);
        self.send(Step::Deal, message)?;
        self.workspace.give(r);
        self.workspace.give(rho_m);
        Ok(None)
    }
}
