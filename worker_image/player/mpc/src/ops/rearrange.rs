//! reshape, transpose, gather, concat: the same elements in another order (local, and the same for
//! every party).

use serde::Deserialize;

use super::form::{elements, Earlier, Form, Shape};
use super::op::{facts, Op};
use crate::party::base::Party;
use crate::simd::kernels::rearrange::{self, concatenate};
use crate::values::{local, local_of_all, Masked, Running};

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
    pub(crate) fn run(&self, party: &mut dyn Party, running: &mut Running<'_>) -> Masked {
        running.take_masked(self.r#in[0], party.workspace())
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
        let turn = |x: &[u64], out: &mut [u64]| rearrange::transpose(x, from, &self.perm, out);
        local(running.masked(self.r#in[0]), running.elements(), party.workspace(), turn)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gather {
    shape: Shape,
    r#in: [usize; 1],
    axis: Vec<usize>,
    /// For each axis; -1 is a zero.
    index: Vec<Vec<i64>>,
}

impl Op for Gather {
    facts!("gather");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let ([x], axis) = (self.r#in, &self.axis);
        let from = earlier.masked(x)?;
        let ascends = axis.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascends || axis.last().is_none_or(|last| *last >= from.len()) {
            return Err(format!("axis {axis:?} is not ascending axes of {from:?}"));
        }
        if axis.len() != self.index.len() {
            let lists = self.index.len();
            return Err(format!("{lists} lists of index for the axes {axis:?}"));
        }

        let mut shape = from.to_vec();
        for (axis, index) in axis.iter().zip(&self.index) {
            check_index(index, from[*axis])
                .map_err(|why| format!("index of axis {axis}: {why}"))?;
            shape[*axis] = index.len();
        }
        Ok((shape, earlier.form(x)))
    }
}

/// Refuses a list that has no entries, or one that is none of an axis of that size.
fn check_index(index: &[i64], size: usize) -> Result<(), String> {
    let outside = |i: &&i64| **i != -1 && usize::try_from(**i).map_or(true, |i| i >= size);
    match index.iter().find(outside) {
        Some(i) => Err(format!("{i} is not in -1 … {}", size - 1)),
        None if index.is_empty() => Err("it is empty".into()),
        None => Ok(()),
    }
}

impl Gather {
    /// A zero is public: m and every λ are 0.
    pub(crate) fn run(&self, party: &mut dyn Party, running: &mut Running<'_>) -> Masked {
        let [x] = self.r#in;
        let gather = rearrange::Gather::new(running.shape(x), &self.axis, &self.index);
        let copy = |x: &[u64], out: &mut [u64]| gather.copy(x, out);
        local(running.masked(x), running.elements(), party.workspace(), copy)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Concat {
    shape: Shape,
    r#in: Vec<usize>,
    axis: usize,
}

/// As many as there are instructions.
const MAX_PARTS: usize = 4096;

impl Op for Concat {
    facts!("concat");

    /// It is truncated where all of its operands are.
    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let (operands, axis) = (&self.r#in, self.axis);
        if !(2..=MAX_PARTS).contains(&operands.len()) {
            return Err(format!("{} operands, not 2 to {MAX_PARTS}", operands.len()));
        }
        let mut shape = earlier.masked(operands[0])?.to_vec();
        if axis >= shape.len() {
            return Err(format!("{shape:?} has no axis {axis}"));
        }
        for operand in &operands[1..] {
            let other = earlier.masked(*operand)?;
            let same = |i: usize| i == axis || other[i] == shape[i];
            if other.len() != shape.len() || !(0..shape.len()).all(same) {
                return Err(format!("{shape:?} and {other:?} do not fit along axis {axis}"));
            }
            shape[axis] += other[axis];
        }
        Ok((shape, earlier.joined(operands)))
    }
}

impl Concat {
    pub(crate) fn run(&self, party: &mut dyn Party, running: &mut Running<'_>) -> Masked {
        let from_axis = |value: &usize| running.shape(*value)[self.axis..].iter().product();
        let each: Vec<usize> = self.r#in.iter().map(from_axis).collect();
        let xs: Vec<&Masked> = self.r#in.iter().map(|value| running.masked(*value)).collect();
        local_of_all(&xs, running.elements(), party.workspace(), |parts, out| {
            let parts: Vec<(&[u64], usize)> =
                parts.iter().copied().zip(each.iter().copied()).collect();
            concatenate(&parts, out);
        })
    }
}
