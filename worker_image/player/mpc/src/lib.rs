//! Secure computation: runs a program on shares. docs/protocol.md is the definition.
//!
//! `run` walks over the program. What an instruction does to shares is `data`'s (alice and bob) and
//! `helper`'s (carol) business, the same for both protocols but for the comparison: `securenn` and
//! `astra`. Nothing here knows of sockets or clocks: a `Channel` carries the messages.

#[cfg(feature = "audit")]
pub mod audit;
mod block;
mod channel;
mod compare;
mod party;
pub mod program;
pub mod protocol;
mod random;
pub mod role;
pub mod share_file;
mod simd;
#[cfg(test)]
mod tests;
mod workspace;

use std::marker::PhantomData;

use zeroize::{Zeroize, ZeroizeOnDrop};

pub use channel::{Channel, ChannelError};
pub use workspace::Workspace;

use block::{Layout, Part};
use compare::{astra, securenn};
use party::data::{Data, Difference};
use party::helper::Helper;
use random::prg::{Key, Purpose, Source, Tag};
use random::ring::{Ring, Z64};
use simd::kernels::{self, Pooling, Windows};

use crate::program::Instruction;
use crate::protocol::ProtocolName;
use crate::role::Role;
use crate::share_file::{Shares, Weight};

/// The keys of one batch, one a pair that this role belongs to. They are used for one `run` and
/// never again.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct BatchKeys {
    pub ab: Option<[u8; 16]>,
    pub ac: Option<[u8; 16]>,
    pub bc: Option<[u8; 16]>,
}

/// The input as each role has it, all rows of the batch. bob has masked his share, and sent it to
/// alice, before there was a batch.
pub enum Input {
    /// x_a, and bob's x_b + λ_b.
    Alice { share: Vec<u64>, bob: Vec<u64> },
    /// x_b + λ_b and λ_b.
    Bob { masked: Vec<u64>, mask: Vec<u64> },
    /// λ_b.
    Carol { mask: Vec<u64> },
}

/// λ_b of one request of `n` elements, from the key that bob and carol have for this request alone.
pub fn request_mask(key: &[u8; 16], n: usize) -> Vec<u64> {
    let mut mask = vec![0; n];
    Key::new(*key).words(Tag { instruction: 0, level: 0, purpose: Purpose::Request }, 0, &mut mask);
    mask
}

/// A masked value as one role holds it, all rows of the batch.
#[derive(Clone)]
struct Masked {
    /// alice, bob: x + λ; carol: empty.
    m: Vec<u64>,
    /// alice: λ_a; bob: λ_b; carol: λ.
    l: Vec<u64>,
}

/// This role's part of a product: alice z_a, bob z_b, carol κ.
#[derive(Clone)]
struct Product(Vec<u64>);

/// Messages of an instruction, and of a level of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Step {
    /// carol → bob
    Deal = 0,
    /// alice ↔ bob
    Open = 1,
    And1 = 2,
    And2 = 3,
    Bit = 4,
    /// alice, bob → carol
    Entries = 5,
    /// carol → bob
    Select = 6,
    /// alice ↔ bob
    Mask = 7,
}

impl Step {
    /// The tag on the wire. A program has at most 32 levels (`program`).
    fn at(self, level: u16) -> u8 {
        level as u8 * 8 + self as u8
    }
}

/// A bilinear map of a value and a weight: which windows of the value meet the weight's matrix.
enum Linear<'a> {
    Conv2d { image: &'a [usize], result: &'a [usize], kernel: [usize; 2], stride: [usize; 2] },
    Matmul { k: usize },
}

impl Linear<'_> {
    /// For `elements` elements of all rows.
    fn windows<'s>(&self, elements: usize, starts: &'s mut Vec<usize>) -> Windows<'s> {
        match self {
            Linear::Conv2d { image, result, kernel, stride } => kernels::convolution(
                image,
                result,
                *kernel,
                *stride,
                elements / image.iter().product::<usize>(),
                starts,
            ),
            Linear::Matmul { k } => kernels::rows_of(*k, elements / k, starts),
        }
    }
}

/// One function an instruction; the forms are those of docs/protocol.md.
trait Protocol<C> {
    /// Called before each instruction, and each level of one: tags messages and randomness.
    fn begin(&mut self, instruction: u32, level: u16);
    fn workspace(&mut self) -> &mut Workspace;
    fn input(&mut self, input: Input, n: usize) -> Result<Masked, ChannelError>;
    fn linear(&mut self, x: &Masked, w: &Weight, n: usize, map: Linear) -> Product;
    fn scale(&mut self, x: &Masked, factor: u64) -> Product;
    fn truncate(&mut self, z: Product, shift: u32) -> Result<Masked, ChannelError>;
    fn relu(&mut self, x: Masked) -> Result<Masked, ChannelError>;
    fn truncate_relu(&mut self, z: Product, shift: u32) -> Result<Masked, ChannelError>;
    /// The share that goes to the client; nothing for the helper.
    fn output(&mut self, x: Masked) -> Option<Vec<u64>>;
    fn truncate_output(&mut self, z: Product, shift: u32)
        -> Result<Option<Vec<u64>>, ChannelError>;
}

/// A protocol's comparison: y = t if t ≥ 0, else 0, for |t| < 2^(WINDOW - 1).
trait Comparison {
    /// What carol deals for it beforehand; `shift` if t comes from a truncation.
    fn parts<R: Ring>(shift: Option<u32>) -> Vec<(Purpose, Part)>;
    /// carol, before: `r` is R, `msb` the plane of ρ_m and the shift.
    fn deal<R: Ring, S: Source>(
        helper: &mut Helper<R, S>,
        r: &[u64],
        msb: Option<(&[u64], u32)>,
        layout: &Layout,
        message: &mut [u64],
    );
    /// carol, while alice and bob compare.
    fn assist<R: Ring, S: Source>(
        helper: &mut Helper<R, S>,
        r: &[u64],
        msb: Option<(&[u64], u32)>,
    ) -> Result<(), ChannelError>;
    /// alice and bob.
    fn select<R: Ring, S: Source>(
        data: &mut Data<R, S>,
        t: Difference,
    ) -> Result<Masked, ChannelError>;
}

/// Runs the program for `rows` rows.
///
/// `input` is this player's part of the input, (rows, input shape) in row-major order; the result
/// is the additive share of the output, (rows, output shape), for alice and bob. An error means
/// that the batch is lost: the keys must not be used again.
pub fn run(
    shares: &Shares,
    keys: &BatchKeys,
    rows: usize,
    input: Input,
    channel: &mut dyn Channel,
    workspace: &mut Workspace,
) -> Result<Option<Vec<u64>>, ChannelError> {
    let missing = || ChannelError::Ours("a key of this batch is missing".into());
    let key = |bytes: Option<[u8; 16]>| bytes.map(Key::new).ok_or_else(missing);
    let (instruction, level, ring) = (0, 0, PhantomData::<Z64>);
    if shares.role == Role::Carol {
        let own =
            Key::random().map_err(|e| ChannelError::Ours(format!("no system randomness: {e}")))?;
        let helper = Helper {
            with_alice: key(keys.ac)?,
            with_bob: key(keys.bc)?,
            own,
            channel,
            workspace,
            instruction,
            level,
            ring,
        };
        return run_as(shares, rows, input, helper);
    }
    let with_carol = key(if shares.role == Role::Alice { keys.ac } else { keys.bc })?;
    run_as(
        shares,
        rows,
        input,
        Data {
            role: shares.role,
            with_carol,
            with_peer: key(keys.ab)?,
            channel,
            workspace,
            instruction,
            level,
            ring,
        },
    )
}

fn run_as<P: Protocol<securenn::SecureNn> + Protocol<astra::Astra>>(
    shares: &Shares,
    rows: usize,
    input: Input,
    mut party: P,
) -> Result<Option<Vec<u64>>, ChannelError> {
    match shares.protocol {
        ProtocolName::SecureNn => execute::<securenn::SecureNn>(shares, rows, input, &mut party),
        ProtocolName::Astra => execute::<astra::Astra>(shares, rows, input, &mut party),
    }
}

/// What an instruction left, until its last use.
enum Value {
    Masked(Masked),
    Product(Product),
    None,
}

fn execute<C: Comparison>(
    shares: &Shares,
    rows: usize,
    input: Input,
    party: &mut dyn Protocol<C>,
) -> Result<Option<Vec<u64>>, ChannelError> {
    use Instruction::*;
    let program = &shares.program.instructions;
    let mut input = Some(input);
    let mut values =
        Values { values: Vec::with_capacity(program.len()), last_use: last_uses(program), at: 0 };
    for (at, instruction) in program.iter().enumerate() {
        party.begin(at as u32, 0);
        values.at = at;
        let shape = instruction.shape();
        let n = rows * shape.iter().product::<usize>();
        // `Program::parse` has checked every form, so the arms that cannot match cannot happen.
        let value = match instruction {
            Input { .. } => match input.take() {
                Some(input) => Value::Masked(party.input(input, n)?),
                None => Value::None,
            },
            Weight { .. } => Value::None,
            Conv2d { r#in: [x, w], stride, .. } => {
                let (image, kernel) = (program[*x].shape(), program[*w].shape());
                let map = Linear::Conv2d {
                    image,
                    result: shape,
                    kernel: [kernel[0], kernel[1]],
                    stride: *stride,
                };
                Value::Product(party.linear(values.masked(*x), &shares.weights[w], n, map))
            }
            Matmul { r#in: [x, w], .. } => {
                let map = Linear::Matmul { k: program[*x].shape()[0] };
                Value::Product(party.linear(values.masked(*x), &shares.weights[w], n, map))
            }
            Scale { r#in: [x], factor, .. } => {
                Value::Product(party.scale(values.masked(*x), *factor as u64))
            }
            Add { r#in: [z, w], .. } => {
                Value::Product(add_bias(values.take_product(*z), &shares.weights[w]))
            }
            SumPool { r#in: [x], window, dilation, stride, shape } => {
                let pooling = pooling(program[*x].shape(), shape, *dilation, *stride);
                let sum = |x: &[u64], out: &mut [u64]| {
                    out.fill(0);
                    offsets(*window).for_each(|offset| pooling.add(x, offset, out));
                };
                Value::Masked(local(values.masked(*x), n, party.workspace(), sum))
            }
            MaxPool { r#in: [x], window, stride, shape } => {
                let pooling = pooling(program[*x].shape(), shape, [1, 1], *stride);
                Value::Masked(maximum(party, values.masked(*x), at as u32, n, pooling, *window)?)
            }
            Reshape { r#in: [x], .. } => Value::Masked(values.take_masked(*x)),
            Transpose { r#in: [x], perm, .. } => {
                let from = program[*x].shape();
                let turn = |x: &[u64], out: &mut [u64]| kernels::transpose(x, from, perm, out);
                Value::Masked(local(values.masked(*x), n, party.workspace(), turn))
            }
            Truncate { r#in: [z], shift, .. } => {
                Value::Masked(party.truncate(values.take_product(*z), *shift)?)
            }
            TruncateRelu { r#in: [z], shift, .. } => {
                Value::Masked(party.truncate_relu(values.take_product(*z), *shift)?)
            }
            Relu { r#in: [x], .. } => Value::Masked(party.relu(values.take_masked(*x))?),
            Output { r#in: [x], .. } => return Ok(party.output(values.take_masked(*x))),
            TruncateOutput { r#in: [z], shift, .. } => {
                return party.truncate_output(values.take_product(*z), *shift)
            }
        };
        values.values.push(value);
        values.drop_unused(instruction.operands(), party.workspace());
    }
    Ok(None)
}

/// The values that are still to be read.
struct Values {
    values: Vec<Value>,
    last_use: Vec<usize>,
    /// The instruction that reads.
    at: usize,
}

impl Values {
    fn masked(&self, operand: usize) -> &Masked {
        match &self.values[operand] {
            Value::Masked(x) => x,
            _ => unreachable!("the program was checked: the operand is masked"),
        }
    }

    /// The value itself if this is its last use, or else a copy.
    fn take_masked(&mut self, operand: usize) -> Masked {
        if self.last_use[operand] == self.at {
            if let Value::Masked(x) = std::mem::replace(&mut self.values[operand], Value::None) {
                return x;
            }
        }
        self.masked(operand).clone()
    }

    fn take_product(&mut self, operand: usize) -> Product {
        match &mut self.values[operand] {
            Value::Product(Product(z)) if self.last_use[operand] == self.at => {
                Product(std::mem::take(z))
            }
            Value::Product(z) => z.clone(),
            _ => unreachable!("the program was checked: the operand is a product"),
        }
    }

    fn drop_unused(&mut self, operands: &[usize], workspace: &mut Workspace) {
        for operand in operands.iter().filter(|operand| self.last_use[**operand] == self.at) {
            match std::mem::replace(&mut self.values[*operand], Value::None) {
                Value::Masked(Masked { m, l }) => {
                    [m, l].into_iter().for_each(|buffer| workspace.give(buffer))
                }
                Value::Product(Product(z)) => workspace.give(z),
                Value::None => {}
            }
        }
    }
}

/// For each value the last instruction that reads it.
fn last_uses(program: &[Instruction]) -> Vec<usize> {
    let mut last = vec![0; program.len()];
    for (at, instruction) in program.iter().enumerate() {
        for operand in instruction.operands() {
            last[*operand] = at;
        }
    }
    last
}

/// A linear map without constants, applied to every part alike; `n` elements result.
fn local(
    x: &Masked,
    n: usize,
    workspace: &mut Workspace,
    map: impl Fn(&[u64], &mut [u64]),
) -> Masked {
    let mut apply = |part: &[u64]| {
        let mut out = workspace.take(if part.is_empty() { 0 } else { n });
        if !part.is_empty() {
            map(part, &mut out);
        }
        out
    };
    Masked { m: apply(&x.m), l: apply(&x.l) }
}

fn pooling(image: &[usize], result: &[usize], dilation: [usize; 2], stride: [usize; 2]) -> Pooling {
    Pooling {
        image: [image[0], image[1], image[2]],
        result: [result[0], result[1]],
        dilation,
        stride,
    }
}

/// The pixels of a window.
fn offsets(window: [usize; 2]) -> impl Iterator<Item = [usize; 2]> {
    (0..window[0]).flat_map(move |dy| (0..window[1]).map(move |dx| [dy, dx]))
}

/// The maximum over each window, as a tournament: max(a, b) = b + relu(a − b), all pairs of a level
/// at once.
fn maximum<C: Comparison>(
    party: &mut dyn Protocol<C>,
    x: &Masked,
    instruction: u32,
    n: usize,
    pooling: Pooling,
    window: [usize; 2],
) -> Result<Masked, ChannelError> {
    let workspace = party.workspace();
    let mut left: Vec<Masked> = offsets(window)
        .map(|offset| local(x, n, workspace, |x, out| pooling.pick(x, offset, out)))
        .collect();
    for level in 0.. {
        if left.len() == 1 {
            break;
        }
        party.begin(instruction, level);
        let rest = left.split_off(left.len() / 2 * 2);
        let (losers, winners): (Vec<Masked>, Vec<Masked>) = {
            let half = left.split_off(left.len() / 2);
            (left, half)
        };
        let workspace = party.workspace();
        let part = |of: fn(&Masked) -> &Vec<u64>, workspace: &mut Workspace| {
            let each = of(&winners[0]).len();
            let mut out = workspace.take(each * winners.len());
            for (i, (a, b)) in winners.iter().zip(&losers).enumerate() {
                let differences = out[i * each..][..each].iter_mut().zip(of(a)).zip(of(b));
                differences.for_each(|((out, a), b)| *out = a.wrapping_sub(*b));
            }
            out
        };
        let difference = Masked { m: part(|x| &x.m, workspace), l: part(|x| &x.l, workspace) };
        let positive = party.relu(difference)?;
        let workspace = party.workspace();
        left = losers;
        for (i, b) in left.iter_mut().enumerate() {
            for (sum, all) in [(&mut b.m, &positive.m), (&mut b.l, &positive.l)] {
                let each = sum.len();
                let own = if all.is_empty() { &[][..] } else { &all[i * each..][..each] };
                sum.iter_mut().zip(own).for_each(|(b, positive)| *b = b.wrapping_add(*positive));
            }
        }
        for x in winners.into_iter().chain([positive]) {
            workspace.give(x.m);
            workspace.give(x.l);
        }
        left.extend(rest);
    }
    Ok(left.swap_remove(0))
}

fn add_bias(Product(mut z): Product, w: &Weight) -> Product {
    if let Weight::Bias(bias) = w {
        for row in z.chunks_exact_mut(bias.len()) {
            row.iter_mut().zip(bias).for_each(|(z, b)| *z = z.wrapping_add(*b));
        }
    }
    Product(z)
}
