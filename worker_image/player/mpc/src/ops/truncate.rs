//! truncate: a product becomes a masked value again (docs/protocol.md, Truncation by s bits).

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
pub(crate) struct Truncate {
    shape: Shape,
    r#in: [usize; 1],
    pub(crate) shift: u32,
}

impl Op for Truncate {
    facts!("truncate");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        check_shift(self.shift)?;
        Ok((earlier.product(self.r#in[0])?.to_vec(), Form::Masked { truncated: true }))
    }

    fn messages(&self, _: ProtocolName) -> Vec<Layout> {
        vec![
            Layout::new(truncation::parts(self.shift)),
            Layout::of_words(Purpose::Gamma),
            Layout::of_words(Purpose::Mask),
        ]
    }
}

impl Truncate {
    pub(crate) fn run(
        &self,
        party: &mut dyn Truncates,
        running: &mut Running<'_>,
    ) -> Result<Masked, ChannelError> {
        let z = running.take_product(self.r#in[0], party.workspace());
        party.truncate(z, self.shift)
    }
}

/// A party's part in a truncation.
pub(crate) trait Truncates: Party {
    fn truncate(&mut self, z: Product, shift: u32) -> Result<Masked, ChannelError>;
}

impl<R: Ring, S: Source, C> Truncates for Data<'_, R, S, C> {
    fn truncate(&mut self, z: Product, shift: u32) -> Result<Masked, ChannelError> {
        let t = self.open(z, shift, vec![])?;
        let share = self.shares(t);
        self.remask(share)
    }
}

impl<R: Ring, S: Source, C> Truncates for Helper<'_, R, S, C> {
    fn truncate(&mut self, Product(mut r): Product, shift: u32) -> Result<Masked, ChannelError> {
        let n = r.len();
        let layout = Layout::new(truncation::parts(shift));
        let mut message = self.workspace.take(layout.words(n));
        let rho_m = self.deal_truncations(&mut r, shift, &layout, &mut message);
        self.send(Step::Deal, message)?;
        self.workspace.give(r);
        self.workspace.give(rho_m);
        Ok(self.fresh(n))
    }
}
