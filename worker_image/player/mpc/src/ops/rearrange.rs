//! reshape, transpose: the same elements in another order (local, and the same for every party).

use serde::Deserialize;

use super::form::{elements, Earlier, Form, Shape};
use super::op::{facts, Op};
use crate::party::base::Party;
use crate::simd::kernels;
use crate::values::{local, Masked, Running};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reshape {
    shape: Shape,
    r#in: [usize; 1],
}

impl Op for Reshape {
    facts!("reshape");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let [x] = self.r#in;
        let (from, to) = (earlier.masked(x)?, &self.shape);
        if elements(from) != elements(to) {
            return Err(format!("{from:?} cannot be reshaped to {to:?}"));
        }
        Ok((to.clone(), earlier.form(x)))
    }
}

impl Reshape {
    pub(crate) fn run(&self, running: &mut Running<'_>) -> Masked {
        running.take_masked(self.r#in[0])
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transpose {
    shape: Shape,
    r#in: [usize; 1],
    perm: Vec<usize>,
}

impl Op for Transpose {
    facts!("transpose");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let ([x], perm) = (self.r#in, &self.perm);
        let from = earlier.masked(x)?;
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..from.len()) {
            return Err(format!("perm {perm:?} is not a permutation of the {} axes", from.len()));
        }
        Ok((perm.iter().map(|p| from[*p]).collect(), earlier.form(x)))
    }
}

impl Transpose {
    pub(crate) fn run(&self, party: &mut dyn Party, running: &mut Running<'_>) -> Masked {
        let from = running.shape(self.r#in[0]);
        let turn = |x: &[u64], out: &mut [u64]| kernels::transpose(x, from, &self.perm, out);
        local(running.masked(self.r#in[0]), running.elements(), party.workspace(), turn)
    }
}
