//! sum: masked values added element by element (local, and the same for every party).

use serde::Deserialize;

use super::form::{Earlier, Form, Shape};
use super::op::{facts, Op};
use crate::party::base::Party;
use crate::values::{Masked, Running};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sum {
    shape: Shape,
    r#in: [usize; 2],
}

impl Op for Sum {
    facts!("sum");

    /// It is truncated where both of its operands are.
    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let [x, y] = self.r#in;
        let (own, other) = (earlier.masked(x)?, earlier.masked(y)?);
        if own != other {
            return Err(format!("values of shapes {own:?} and {other:?} cannot be added"));
        }
        let both = Form::Masked { truncated: true };
        let truncated = [x, y].iter().all(|operand| earlier.form(*operand) == both);
        Ok((own.to_vec(), Form::Masked { truncated }))
    }
}

impl Sum {
    pub(crate) fn run(&self, party: &mut dyn Party, running: &mut Running<'_>) -> Masked {
        let [x, y] = self.r#in.map(|operand| running.masked(operand));
        let mut add = |a: &[u64], b: &[u64]| {
            let mut sum = party.workspace().take(a.len());
            let pairs = a.iter().zip(b);
            sum.iter_mut().zip(pairs).for_each(|(sum, (a, b))| *sum = a.wrapping_add(*b));
            sum
        };
        Masked { m: add(&x.m, &y.m), l: add(&x.l, &y.l) }
    }
}
