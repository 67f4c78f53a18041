//! Secure computation: runs a program on shares. docs/protocol.md is the definition.
//!
//! `run` walks over the program; what an instruction does to shares is a `Protocol`'s business. ASTRA has two of them, one for the data players and one for the
//! helper. Nothing here knows of sockets or clocks: a `Channel` carries the messages.

mod and;
mod astra;
mod bits;
mod channel;
mod compare;
mod deal;
pub mod kernels;
mod prg;
mod simd;
#[cfg(test)]
mod tests;

use zeroize::{Zeroize, ZeroizeOnDrop};

pub use channel::{Channel, ChannelError};

use crate::program::Instruction;
use crate::role::Role;
use crate::shares::{Shares, Weight};
use kernels::Matrix;

/// The keys of one batch, one a pair that this role belongs to. They are used for one `run` and never again.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct BatchKeys {
    pub ab: Option<[u8; 16]>,
    pub ac: Option<[u8; 16]>,
    pub bc: Option<[u8; 16]>,
}

/// A masked value as one role holds it, all rows of the batch.
struct Masked {
    /// alice, bob: x + λ; carol: empty.
    m: Vec<u64>,
    /// alice: λ_a; bob: λ_b; carol: λ.
    l: Vec<u64>,
}

/// This role's part of a product: alice z_a, bob z_b, carol κ.
struct Product(Vec<u64>);

/// out += x ∗ w for one of the bilinear maps.
type Bilinear<'a> = &'a dyn Fn(&mut [u64], &[u64], &[Matrix]);

/// One function an instruction; the forms are those of docs/protocol.md.
trait Protocol {
    /// Called before each instruction: its number tags messages and randomness.
    fn begin(&mut self, instruction: u32);
    fn input(&mut self, share: Option<Vec<u64>>, n: usize) -> Result<Masked, ChannelError>;
    fn bilinear(&self, x: &Masked, w: &Weight, n: usize, apply: Bilinear) -> Product;
    fn scale(&self, x: &Masked, factor: u64) -> Product;
    fn truncate(&mut self, z: Product, shift: u32) -> Result<Masked, ChannelError>;
    fn relu(&mut self, x: Masked) -> Result<Masked, ChannelError>;
    fn truncate_relu(&mut self, z: Product, shift: u32) -> Result<Masked, ChannelError>;
    /// The share that goes to the client; nothing for the helper.
    fn output(&mut self, x: Masked) -> Option<Vec<u64>>;
    fn truncate_output(&mut self, z: Product, shift: u32) -> Result<Option<Vec<u64>>, ChannelError>;
}

/// Runs the program for `rows` rows.
///
/// `input` is this player's additive share, (rows, input shape) in row-major order, for alice and bob, and nothing for carol; the result is the additive share of
/// the output, (rows, output shape), for alice and bob. An error means that the batch is lost: the keys must not be used again.
pub fn run(
    shares: &Shares,
    keys: &BatchKeys,
    rows: usize,
    input: Option<Vec<u64>>,
    channel: &mut dyn Channel,
) -> Result<Option<Vec<u64>>, ChannelError> {
    let missing = || ChannelError::Protocol(shares.role, "a key of this batch is missing".into());
    let key = |bytes: Option<[u8; 16]>| bytes.map(prg::Key::new).ok_or_else(missing);
    let mut protocol: Box<dyn Protocol + '_> = match shares.role {
        Role::Alice => Box::new(astra::Data::new(Role::Alice, key(keys.ac)?, key(keys.ab)?, channel)),
        Role::Bob => Box::new(astra::Data::new(Role::Bob, key(keys.bc)?, key(keys.ab)?, channel)),
        Role::Carol => {
            let own = prg::Key::random().map_err(|e| ChannelError::Protocol(Role::Carol, format!("no system randomness: {e}")))?;
            Box::new(astra::Helper::new(key(keys.ac)?, key(keys.bc)?, own, channel))
        }
    };
    execute(shares, rows, input, protocol.as_mut())
}

/// What an instruction left, until its last use.
enum Value {
    Masked(Masked),
    Product(Product),
    None,
}

fn execute(shares: &Shares, rows: usize, mut input: Option<Vec<u64>>, protocol: &mut dyn Protocol) -> Result<Option<Vec<u64>>, ChannelError> {
    use Instruction::*;
    let program = &shares.program.instructions;
    let mut values: Vec<Value> = Vec::with_capacity(program.len());
    let last_use = last_uses(program);
    for (at, instruction) in program.iter().enumerate() {
        protocol.begin(at as u32);
        let n = rows * instruction.shape().iter().product::<usize>();
        // `Program::parse` has checked every form, so the arms that cannot match cannot happen.
        let value = match instruction {
            Input { .. } => Value::Masked(protocol.input(input.take(), n)?),
            Weight { .. } => Value::None,
            Conv2d { r#in: [x, w], stride, shape } => {
                let image = program[*x].shape();
                let apply = |out: &mut [u64], x: &[u64], kernel: &[Matrix]| kernels::conv2d(out, x, image, shape, kernel, *stride);
                Value::Product(protocol.bilinear(masked(&values[*x]), &shares.weights[w], n, &apply))
            }
            Matmul { r#in: [x, w], .. } => {
                let apply = |out: &mut [u64], x: &[u64], w: &[Matrix]| w.iter().for_each(|w| kernels::matmul(out, x, w));
                Value::Product(protocol.bilinear(masked(&values[*x]), &shares.weights[w], n, &apply))
            }
            Scale { r#in: [x], factor, .. } => Value::Product(protocol.scale(masked(&values[*x]), *factor as u64)),
            Add { r#in: [z, w], .. } => Value::Product(add_bias(product(&mut values, *z, at, &last_use), &shares.weights[w])),
            SumPool { r#in: [x], window, dilation, stride, shape } => {
                let image = program[*x].shape();
                local(masked(&values[*x]), |t| kernels::sum_pool(t, image, shape, *window, *dilation, *stride))
            }
            Reshape { r#in: [x], .. } => Value::Masked(take_masked(&mut values, *x, at, &last_use)),
            Transpose { r#in: [x], perm, .. } => local(masked(&values[*x]), |t| kernels::transpose(t, program[*x].shape(), perm)),
            Truncate { r#in: [z], shift, .. } => Value::Masked(protocol.truncate(product(&mut values, *z, at, &last_use), *shift)?),
            TruncateRelu { r#in: [z], shift, .. } => Value::Masked(protocol.truncate_relu(product(&mut values, *z, at, &last_use), *shift)?),
            Relu { r#in: [x], .. } => Value::Masked(protocol.relu(take_masked(&mut values, *x, at, &last_use))?),
            Output { r#in: [x], .. } => return Ok(protocol.output(take_masked(&mut values, *x, at, &last_use))),
            TruncateOutput { r#in: [z], shift, .. } => return protocol.truncate_output(product(&mut values, *z, at, &last_use), *shift),
        };
        values.push(value);
        for operand in instruction.operands().iter().filter(|o| last_use[**o] == at) {
            values[*operand] = Value::None;
        }
    }
    Ok(None)
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

fn masked(value: &Value) -> &Masked {
    match value {
        Value::Masked(x) => x,
        _ => unreachable!("the program was checked: the operand is masked"),
    }
}

fn take_masked(values: &mut [Value], operand: usize, at: usize, last_use: &[usize]) -> Masked {
    if last_use[operand] == at {
        if let Value::Masked(x) = std::mem::replace(&mut values[operand], Value::None) {
            return x;
        }
    }
    let x = masked(&values[operand]);
    Masked { m: x.m.clone(), l: x.l.clone() }
}

fn product(values: &mut [Value], operand: usize, at: usize, last_use: &[usize]) -> Product {
    match &mut values[operand] {
        Value::Product(Product(z)) if last_use[operand] == at => Product(std::mem::take(z)),
        Value::Product(Product(z)) => Product(z.clone()),
        _ => unreachable!("the program was checked: the operand is a product"),
    }
}

/// A linear map without constants, applied to every part alike.
fn local(x: &Masked, map: impl Fn(&[u64]) -> Vec<u64>) -> Value {
    let apply = |t: &[u64]| if t.is_empty() { vec![] } else { map(t) };
    Value::Masked(Masked { m: apply(&x.m), l: apply(&x.l) })
}

fn add_bias(Product(mut z): Product, w: &Weight) -> Product {
    if let Weight::Bias(bias) = w {
        for row in z.chunks_exact_mut(bias.len()) {
            row.iter_mut().zip(bias).for_each(|(z, b)| *z = z.wrapping_add(*b));
        }
    }
    Product(z)
}
