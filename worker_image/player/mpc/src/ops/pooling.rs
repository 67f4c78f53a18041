//! sum_pool (local) and max_pool (a tournament of comparisons) over windows of an image.

use serde::Deserialize;

use super::form::{elements, windows, Earlier, Form, Shape, MAX_ELEMENTS};
use super::op::{facts, Op};
use super::relu::{relu_messages, Rectifies};
use crate::channel::ChannelError;
use crate::message::{Layout, MAX_LEVELS};
use crate::party::base::Party;
use crate::protocol::ProtocolName;
use crate::simd::kernels::pooling::Pooling;
use crate::values::{local, Masked, Running};
use crate::workspace::Workspace;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SumPool {
    shape: Shape,
    r#in: [usize; 1],
    window: [usize; 2],
    dilation: [usize; 2],
    stride: [usize; 2],
}

impl Op for SumPool {
    facts!("sum_pool");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let [x] = self.r#in;
        let shape = pooled(earlier.masked(x)?, self.window, self.dilation, self.stride)?;
        Ok((shape, earlier.form(x)))
    }
}

impl SumPool {
    pub(crate) fn run(&self, party: &mut dyn Party, running: &mut Running<'_>) -> Masked {
        let [x] = self.r#in;
        let pooling = pooling(running.shape(x), &self.shape, self.dilation, self.stride);
        let sum = |x: &[u64], out: &mut [u64]| {
            out.fill(0);
            offsets(self.window).for_each(|offset| pooling.add(x, offset, out));
        };
        local(running.masked(x), running.elements(), party.workspace(), sum)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaxPool {
    pub(crate) shape: Shape,
    pub(crate) r#in: [usize; 1],
    pub(crate) window: [usize; 2],
    pub(crate) stride: [usize; 2],
}

// A window has at most as many pixels as a tensor has elements; each level halves what is left.
const _: () = assert!(MAX_ELEMENTS.ilog2() < MAX_LEVELS);

impl Op for MaxPool {
    facts!("max_pool");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let [x] = self.r#in;
        let shape = pooled(earlier.masked(x)?, self.window, [1, 1], self.stride)?;
        Ok((shape, earlier.form(x)))
    }

    fn messages(&self, protocol: ProtocolName) -> Vec<Layout> {
        relu_messages(protocol)
    }

    /// The pairs of the first level: half a window for each result. Later levels have fewer.
    fn message_elements(&self) -> usize {
        let pairs = elements(&self.window).unwrap_or(0) / 2;
        pairs * self.shape.iter().product::<usize>()
    }

    fn levels(&self) -> usize {
        elements(&self.window).unwrap_or(1).next_power_of_two().ilog2() as usize
    }
}

impl MaxPool {
    pub(crate) fn run(
        &self,
        party: &mut dyn Rectifies,
        running: &mut Running<'_>,
    ) -> Result<Masked, ChannelError> {
        let [x] = self.r#in;
        let pooling = pooling(running.shape(x), &self.shape, [1, 1], self.stride);
        let (instruction, n) = (running.at as u32, running.elements());
        maximum(party, running.masked(x), instruction, n, pooling, self.window)
    }
}

fn pooled(
    x: &[usize],
    window: [usize; 2],
    dilation: [usize; 2],
    stride: [usize; 2],
) -> Result<Shape, String> {
    let refuse =
        || format!("window {window:?}, dilation {dilation:?}, stride {stride:?} do not fit {x:?}");
    let [h, w, c] = x else { return Err(refuse()) };
    let [height, width] = windows([*h, *w], window, dilation, stride).ok_or_else(refuse)?;
    Ok(vec![height, width, *c])
}

fn pooling(image: &[usize], result: &[usize], dilation: [usize; 2], stride: [usize; 2]) -> Pooling {
    let (image, result) = ([image[0], image[1], image[2]], [result[0], result[1]]);
    Pooling { image, result, dilation, stride }
}

/// The pixels of a window.
fn offsets(window: [usize; 2]) -> impl Iterator<Item = [usize; 2]> {
    (0..window[0]).flat_map(move |dy| (0..window[1]).map(move |dx| [dy, dx]))
}

/// The maximum over each window, as a tournament: max(a, b) = b + relu(a − b), all pairs of a level
/// at once.
pub(crate) fn maximum(
    party: &mut dyn Rectifies,
    x: &Masked,
    instruction: u32,
    n: usize,
    pooling: Pooling,
    window: [usize; 2],
) -> Result<Masked, ChannelError> {
    let workspace = party.workspace();
    let pick = |offset| local(x, n, workspace, |x, out| pooling.pick(x, offset, out));
    let mut left: Vec<Masked> = offsets(window).map(pick).collect();
    for level in 0.. {
        if left.len() == 1 {
            break;
        }
        party.begin(instruction, level);
        let odd = left.split_off(left.len() / 2 * 2);
        let winners = left.split_off(left.len() / 2);
        let difference = differences(&winners, &left, party.workspace());

        let positive = party.relu(difference, 0)?;
        add_each(&mut left, &positive);
        winners.into_iter().chain([positive]).for_each(|x| x.recycle(party.workspace()));
        left.extend(odd);
    }
    Ok(left.swap_remove(0))
}

/// a − b for each pair, one after the other.
fn differences(a: &[Masked], b: &[Masked], workspace: &mut Workspace) -> Masked {
    let mut part = |of: fn(&Masked) -> &Vec<u64>| {
        let each = of(&a[0]).len();
        let mut out = workspace.take(each * a.len());
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            let pairs = of(a).iter().zip(of(b));
            let out = out[i * each..][..each].iter_mut();
            out.zip(pairs).for_each(|(out, (a, b))| *out = a.wrapping_sub(*b));
        }
        out
    };
    Masked { m: part(|x| &x.m), l: part(|x| &x.l) }
}

/// Adds to each value its part of `all`.
fn add_each(values: &mut [Masked], all: &Masked) {
    for (i, value) in values.iter_mut().enumerate() {
        for (sum, all) in [(&mut value.m, &all.m), (&mut value.l, &all.l)] {
            let each = sum.len();
            let own = if all.is_empty() { &[][..] } else { &all[i * each..][..each] };
            sum.iter_mut().zip(own).for_each(|(sum, own)| *sum = sum.wrapping_add(*own));
        }
    }
}
