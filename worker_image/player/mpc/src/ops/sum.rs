//! sum, subtract, add_constant: masked values with each other and with public numbers, element by
//! element (local, and the same for every party).

use serde::Deserialize;

use super::form::{Earlier, Form, Shape};
use super::op::{facts, Op};
use crate::party::base::Party;
use crate::values::{local_of_all, Masked, Running};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sum {
    shape: Shape,
    r#in: [usize; 2],
}

impl Op for Sum {
    facts!("sum");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        of_one_shape(self.r#in, earlier, "added")
    }
}

impl Sum {
    pub(crate) fn run(&self, party: &mut dyn Party, running: &mut Running<'_>) -> Masked {
        element_by_element(self.r#in, party, running, u64::wrapping_add)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subtract {
    shape: Shape,
    r#in: [usize; 2],
}

impl Op for Subtract {
    facts!("subtract");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        of_one_shape(self.r#in, earlier, "subtracted")
    }
}

impl Subtract {
    pub(crate) fn run(&self, party: &mut dyn Party, running: &mut Running<'_>) -> Masked {
        element_by_element(self.r#in, party, running, u64::wrapping_sub)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddConstant {
    shape: Shape,
    r#in: [usize; 1],
    value: i64,
}

/// Below it are the sums of products that a truncation takes.
const MAX_CONSTANT: u64 = 1 << 62;

impl Op for AddConstant {
    facts!("add_constant");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let [x] = self.r#in;
        if !(1..MAX_CONSTANT).contains(&self.value.unsigned_abs()) {
            return Err(format!("value {} is zero, or not below 2^62 in size", self.value));
        }
        Ok((earlier.masked(x)?.to_vec(), earlier.form(x)))
    }
}

impl AddConstant {
    /// The masks stay: carol, who holds these alone, has nothing to do.
    pub(crate) fn run(&self, party: &mut dyn Party, running: &mut Running<'_>) -> Masked {
        let mut x = running.take_masked(self.r#in[0], party.workspace());
        x.m.iter_mut().for_each(|m| *m = m.wrapping_add(self.value as u64));
        x
    }
}

/// Truncated where both operands are.
fn of_one_shape(
    operands: [usize; 2],
    earlier: &Earlier<'_>,
    done: &str,
) -> Result<(Shape, Form), String> {
    let (own, other) = (earlier.masked(operands[0])?, earlier.masked(operands[1])?);
    if own != other {
        return Err(format!("values of shapes {own:?} and {other:?} cannot be {done}"));
    }
    Ok((own.to_vec(), earlier.joined(&operands)))
}

fn element_by_element(
    operands: [usize; 2],
    party: &mut dyn Party,
    running: &mut Running<'_>,
    of: fn(u64, u64) -> u64,
) -> Masked {
    let xs = operands.map(|operand| running.masked(operand));
    local_of_all(&xs, running.elements(), party.workspace(), |parts, out| {
        let pairs = parts[0].iter().zip(parts[1]);
        out.iter_mut().zip(pairs).for_each(|(out, (a, b))| *out = of(*a, *b));
    })
}
