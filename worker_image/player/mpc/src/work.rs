//! How much a batch is: what each party computes and sends for it, and what it keeps meanwhile. It
//! follows from the program alone, so the three players find the same.

use crate::ops::form::elements;
use crate::ops::op::Op as _;
use crate::program::instruction::Instruction;
use crate::program::Program;
use crate::protocol::ProtocolName;

/// The instructions from one that sends to the next that does, that one included: what a party does
/// without a word to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Multiplications, and elements that are only passed over.
    pub operations: usize,
    /// Of all messages, of all parties.
    pub bytes: usize,
    /// Messages that may have to wait for each other.
    pub messages: usize,
}

/// All stretches of a batch of `rows` rows, in order.
pub fn stretches(program: &Program, protocol: ProtocolName, rows: usize) -> Vec<Stretch> {
    let mut done = vec![Stretch::default()];
    for instruction in &program.instructions {
        let sent = sent(instruction, protocol, rows);
        if let Some(stretch) = done.last_mut() {
            let operations = operations(program, instruction).saturating_mul(rows);
            stretch.operations = stretch.operations.saturating_add(operations);
            (stretch.bytes, stretch.messages) = (sent.bytes, sent.messages);
        }
        if sent.messages > 0 {
            done.push(Stretch::default());
        }
    }
    done
}

/// Bytes of the values and messages that a party holds at once, at most, in a batch of `rows` rows.
pub fn held(program: &Program, protocol: ProtocolName, rows: usize) -> usize {
    const MASKED: usize = 2 * size_of::<u64>();
    let values = alive(program).saturating_mul(rows).saturating_mul(MASKED);
    let messages = program.instructions.iter().map(|i| sent(i, protocol, rows).bytes);
    values.saturating_add(messages.max().unwrap_or(0))
}

/// What all messages of an instruction are together. Each level has about half of the elements of
/// the one before.
fn sent(instruction: &Instruction, protocol: ProtocolName, rows: usize) -> Stretch {
    let op = instruction.op();
    let (layouts, levels) = (op.messages(protocol), op.levels());
    let elements = op.message_elements().saturating_mul(rows);
    let words = (0..levels).flat_map(|level| {
        let left = (elements >> level).max(1);
        layouts.iter().map(move |layout| layout.words(left))
    });
    let bytes = words.fold(0usize, usize::saturating_add).saturating_mul(size_of::<u64>());
    Stretch { operations: 0, bytes, messages: layouts.len() * levels }
}

/// In one row: each element of a convolution or matrix product takes the weights of one output
/// column; all else passes over what it reads and makes.
fn operations(program: &Program, instruction: &Instruction) -> usize {
    let op = instruction.op();
    let of = |shape: &[usize]| elements(shape).unwrap_or(0);
    let shape = |value: &usize| program.instructions[*value].op().shape();
    match instruction {
        Instruction::Weight(_) => 0,
        Instruction::Conv2d(_) | Instruction::Matmul(_) => {
            let weight = shape(&op.operands()[1]);
            let column = of(weight) / weight.last().copied().unwrap_or(1);
            of(op.shape()).saturating_mul(column)
        }
        _ => op.operands().iter().map(shape).chain([op.shape()]).map(of).sum(),
    }
}

/// Elements of a row's values that exist at once, at most.
fn alive(program: &Program) -> usize {
    let size = |instruction: &Instruction| match instruction {
        Instruction::Weight(_) => 0,
        _ => elements(instruction.op().shape()).unwrap_or(0),
    };
    let mut last_use: Vec<usize> = (0..program.instructions.len()).collect();
    for (at, instruction) in program.instructions.iter().enumerate() {
        instruction.op().operands().iter().for_each(|operand| last_use[*operand] = at);
    }
    let mut ending = vec![0usize; last_use.len()];
    for (instruction, last_use) in program.instructions.iter().zip(last_use) {
        ending[last_use] += size(instruction);
    }

    let (mut now, mut most) = (0usize, 0usize);
    for (instruction, ending) in program.instructions.iter().zip(ending) {
        now += size(instruction);
        most = most.max(now + contest(instruction));
        now -= ending;
    }
    most
}

/// Elements of a row that a tournament has beside its operand and its result: both halves of its
/// first level, and their differences.
fn contest(instruction: &Instruction) -> usize {
    match instruction {
        Instruction::MaxPool(pool) => 3 * pool.message_elements(),
        _ => 0,
    }
}
