//! relu, truncate_relu: max(x, 0), of a masked value or of a product that is truncated on the way;
//! relu also with a threshold in place of 0, below which the result is 0.

use serde::Deserialize;

use super::form::{check_shift, present, Earlier, Form, Shape};
use super::op::{facts, Op};
use crate::channel::ChannelError;
use crate::compare::{self, Comparison};
use crate::message::{Layout, Step};
use crate::party::base::Party;
use crate::party::data::{Data, Difference};
use crate::party::helper::Helper;
use crate::party::truncation;
use crate::protocol::ProtocolName;
use crate::random::prg::Source;
use crate::random::ring::Ring;
use crate::random::tag::Purpose;
use crate::values::{Masked, Product, Running};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Relu {
    shape: Shape,
    r#in: [usize; 1],
    #[serde(default, deserialize_with = "present")]
    threshold: Option<i64>,
}

/// Thresholds are smaller than the comparison window is wide.
const MAX_THRESHOLD: u64 = 1 << 31;

impl Op for Relu {
    facts!("relu");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let [x] = self.r#in;
        let fits = |threshold: i64| (1..MAX_THRESHOLD).contains(&threshold.unsigned_abs());
        if let Some(threshold) = self.threshold.filter(|threshold| !fits(*threshold)) {
            return Err(format!("threshold {threshold} is zero, or not below 2^31 in size"));
        }
        Ok((earlier.masked(x)?.to_vec(), earlier.form(x)))
    }

    fn messages(&self, protocol: ProtocolName) -> Vec<Layout> {
        relu_messages(protocol)
    }
}

impl Relu {
    pub(crate) fn run(
        &self,
        party: &mut dyn Rectifies,
        running: &mut Running<'_>,
    ) -> Result<Masked, ChannelError> {
        let x = running.take_masked(self.r#in[0], party.workspace());
        party.relu(x, self.threshold.unwrap_or(0))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TruncateRelu {
    shape: Shape,
    r#in: [usize; 1],
    pub(crate) shift: u32,
}

impl Op for TruncateRelu {
    facts!("truncate_relu");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        check_shift(self.shift)?;
        Ok((earlier.product(self.r#in[0])?.to_vec(), Form::Masked { truncated: true }))
    }

    fn messages(&self, protocol: ProtocolName) -> Vec<Layout> {
        let shift = Some(self.shift);
        let deal = truncation::parts(self.shift).into_iter().chain(compare::parts(protocol, shift));
        let mut layouts = compare::layouts(protocol, shift);
        layouts.push(Layout::new(deal));
        layouts.push(Layout::of_words(Purpose::Gamma));
        layouts.push(Layout::of_words(Purpose::Mask));
        layouts
    }
}

impl TruncateRelu {
    pub(crate) fn run(
        &self,
        party: &mut dyn Rectifies,
        running: &mut Running<'_>,
    ) -> Result<Masked, ChannelError> {
        let z = running.take_product(self.r#in[0], party.workspace());
        party.truncate_relu(z, self.shift)
    }
}

/// What a relu of masked values sends.
pub(crate) fn relu_messages(protocol: ProtocolName) -> Vec<Layout> {
    let mut layouts = compare::layouts(protocol, None);
    layouts.push(Layout::new(compare::parts(protocol, None)));
    layouts.push(Layout::of_words(Purpose::Mask));
    layouts
}

/// A party's part in a relu.
pub(crate) trait Rectifies: Party {
    /// x where x ≥ threshold, else 0.
    fn relu(&mut self, x: Masked, threshold: i64) -> Result<Masked, ChannelError>;
    fn truncate_relu(&mut self, z: Product, shift: u32) -> Result<Masked, ChannelError>;
}

impl<R: Ring, S: Source, C: Comparison> Rectifies for Data<'_, R, S, C> {
    fn relu(&mut self, x: Masked, threshold: i64) -> Result<Masked, ChannelError> {
        let layout = Layout::new(C::parts::<R>(None));
        let dealt = self.dealt(Step::Deal, layout, x.m.len())?;
        C::select(self, Difference::of_masked(x, dealt).compared_with(threshold as u64))
    }

    fn truncate_relu(&mut self, z: Product, shift: u32) -> Result<Masked, ChannelError> {
        let t = self.open(z, shift, C::parts::<R>(Some(shift)))?;
        C::select(self, t)
    }
}

impl<R: Ring, S: Source, C: Comparison> Rectifies for Helper<'_, R, S, C> {
    /// She deals by the masks alone: a threshold is nothing to her.
    fn relu(&mut self, x: Masked, _: i64) -> Result<Masked, ChannelError> {
        let n = x.l.len();
        let layout = Layout::new(C::parts::<R>(None));
        let mut message = self.workspace.take(layout.words(n));
        C::deal(self, &x.l, None, &layout, &mut message);
        self.send(Step::Deal, message)?;
        C::assist(self, &x.l, None)?;
        self.workspace.give(x.l);
        Ok(self.fresh(n))
    }

    fn truncate_relu(
        &mut self,
        Product(mut r): Product,
        shift: u32,
    ) -> Result<Masked, ChannelError> {
        let n = r.len();
        let parts = truncation::parts(shift).into_iter().chain(C::parts::<R>(Some(shift)));
        let layout = Layout::new(parts);
        let mut message = self.workspace.take(layout.words(n));
        let rho_m = self.deal_truncations(&mut r, shift, &layout, &mut message);

        let msb = Some((&rho_m[..], shift));
        C::deal(self, &r, msb, &layout, &mut message);
        self.send(Step::Deal, message)?;
        C::assist(self, &r, msb)?;
        self.workspace.give(r);
        self.workspace.give(rho_m);
        Ok(self.fresh(n))
    }
}
