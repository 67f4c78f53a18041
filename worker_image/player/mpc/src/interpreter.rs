//! Runs a program on shares, instruction by instruction.

use crate::channel::{Channel, ChannelError};
use crate::compare::{with_comparison, Comparison};
use crate::keys::BatchKeys;
use crate::ops::input::TakesInput;
use crate::ops::linear::Multiplies;
use crate::ops::output::PutsOut;
use crate::ops::relu::Rectifies;
use crate::ops::truncate::Truncates;
use crate::party::base::PartyInput;
use crate::party::data::Data;
use crate::party::helper::Helper;
use crate::program::instruction::Instruction;
use crate::random::prg::Key;
use crate::random::ring::Z64;
use crate::role::Role;
use crate::share_file::Shares;
use crate::values::{Running, Value};
use crate::workspace::Workspace;

/// Runs the program for `rows` rows.
///
/// `input` is this player's part of the input, (rows, input shape) in row-major order; the result
/// is the additive share of the output, (rows, output shape), for alice and bob. An error means
/// that the batch is lost: the keys must not be used again.
pub fn run(
    shares: &Shares,
    keys: &BatchKeys,
    rows: usize,
    input: PartyInput,
    channel: &mut dyn Channel,
    workspace: &mut Workspace,
) -> Result<Option<Vec<u64>>, ChannelError> {
    with_comparison!(shares.protocol, C => {
        run_with::<C>(shares, keys, rows, input, channel, workspace)
    })
}

fn run_with<C: Comparison>(
    shares: &Shares,
    keys: &BatchKeys,
    rows: usize,
    input: PartyInput,
    channel: &mut dyn Channel,
    workspace: &mut Workspace,
) -> Result<Option<Vec<u64>>, ChannelError> {
    let missing = || ChannelError::Ours("a key of this batch is missing".into());
    let key = |bytes: Option<[u8; 16]>| bytes.map(Key::new).ok_or_else(missing);
    let no_randomness = |e| ChannelError::Ours(format!("no system randomness: {e}"));

    if shares.role == Role::Carol {
        let (with_alice, with_bob) = (key(keys.ac)?, key(keys.bc)?);
        let own = Key::random().map_err(no_randomness)?;
        let mut helper = Helper::<Z64, _, C>::new(with_alice, with_bob, own, channel, workspace);
        return execute(shares, rows, input, &mut helper);
    }

    let with_carol = key(if shares.role == Role::Alice { keys.ac } else { keys.bc })?;
    let with_peer = key(keys.ab)?;
    let mut data = Data::<Z64, _, C>::new(shares.role, with_carol, with_peer, channel, workspace);
    execute(shares, rows, input, &mut data)
}

/// A party's part in every instruction.
pub(crate) trait Protocol:
    TakesInput + Multiplies + Truncates + Rectifies + PutsOut
{
}

impl<P: TakesInput + Multiplies + Truncates + Rectifies + PutsOut> Protocol for P {}

pub(crate) fn execute(
    shares: &Shares,
    rows: usize,
    input: PartyInput,
    party: &mut dyn Protocol,
) -> Result<Option<Vec<u64>>, ChannelError> {
    let mut running = Running::new(shares.program.instructions(), &shares.weights, rows);
    let mut input = Some(input);
    for (at, instruction) in shares.program.instructions.iter().enumerate() {
        party.begin(at as u32, 0);
        running.at = at;
        let value = match instruction {
            Instruction::Input(_) => match input.take() {
                Some(input) => Value::Masked(party.input(input, running.elements())?),
                None => Value::None,
            },
            Instruction::Weight(_) => Value::None,
            Instruction::Conv2d(op) => Value::Product(op.run(party, &mut running)),
            Instruction::Matmul(op) => Value::Product(op.run(party, &mut running)),
            Instruction::Multiply(op) => Value::Product(op.run(party, &mut running)),
            Instruction::Scale(op) => Value::Product(op.run(party, &mut running)),
            Instruction::Add(op) => Value::Product(op.run(party, &mut running)),
            Instruction::Sum(op) => Value::Masked(op.run(party, &mut running)),
            Instruction::Subtract(op) => Value::Masked(op.run(party, &mut running)),
            Instruction::AddConstant(op) => Value::Masked(op.run(party, &mut running)),
            Instruction::SumPool(op) => Value::Masked(op.run(party, &mut running)),
            Instruction::MaxPool(op) => Value::Masked(op.run(party, &mut running)?),
            Instruction::Reshape(op) => Value::Masked(op.run(party, &mut running)),
            Instruction::Transpose(op) => Value::Masked(op.run(party, &mut running)),
            Instruction::Gather(op) => Value::Masked(op.run(party, &mut running)),
            Instruction::Concat(op) => Value::Masked(op.run(party, &mut running)),
            Instruction::Truncate(op) => Value::Masked(op.run(party, &mut running)?),
            Instruction::Relu(op) => Value::Masked(op.run(party, &mut running)?),
            Instruction::TruncateRelu(op) => Value::Masked(op.run(party, &mut running)?),
            Instruction::Output(op) => return Ok(op.run(party, &mut running)),
            Instruction::TruncateOutput(op) => return op.run(party, &mut running),
        };
        running.finish(value, instruction.op().operands(), party.workspace());
    }
    Ok(None)
}
