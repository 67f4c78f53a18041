//! add: a bias on a product (local, and the same for every party).

use serde::Deserialize;

use super::form::{broadcasts, Earlier, Form, Shape};
use super::op::{facts, Op};
use crate::party::base::Party;
use crate::simd::kernels::broadcast::Broadcast;
use crate::values::{Product, Running};
use crate::weights::Weight;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Add {
    shape: Shape,
    r#in: [usize; 2],
}

impl Op for Add {
    facts!("add");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let [z, w] = self.r#in;
        let (bias, z) = (earlier.bias(w)?, earlier.product(z)?);
        if !broadcasts(bias, z) {
            return Err(format!("a bias of shape {bias:?} is not broadcast to {z:?}"));
        }
        Ok((z.to_vec(), Form::Product))
    }
}

impl Add {
    pub(crate) fn run(&self, party: &mut dyn Party, running: &mut Running<'_>) -> Product {
        let [z, w] = self.r#in;
        let broadcast = Broadcast::new(running.shape(z), running.shape(w));
        let Product(mut z) = running.take_product(z, party.workspace());
        if let Weight::Bias(bias) = running.weight(w) {
            broadcast.add(bias, &mut z);
        }
        Product(z)
    }
}
