//! Dealing: carol shares values that she knows. alice reads her part from the common stream, bob gets his as one message an instruction.
//!
//! `Deal` writes the message and `Dealt` reads it; both name the parts in the same order.

use super::bits;
use super::prg::{Key, Purpose};

/// carol's side: builds bob's message.
pub(super) struct Deal<'a> {
    with_alice: &'a Key,
    instruction: u32,
    message: Vec<u8>,
}

impl<'a> Deal<'a> {
    pub(super) fn new(with_alice: &'a Key, instruction: u32) -> Deal<'a> {
        Deal { with_alice, instruction, message: Vec::new() }
    }

    /// Additively, modulo 2^64.
    pub(super) fn words(&mut self, purpose: Purpose, values: &[u64]) {
        let alice = self.with_alice.words(self.instruction, purpose, values.len());
        let bob: Vec<u64> = values.iter().zip(alice).map(|(v, a)| v.wrapping_sub(a)).collect();
        self.message.extend_from_slice(bytemuck::cast_slice(&bob));
    }

    /// Additively, modulo 2^width.
    pub(super) fn low_bits(&mut self, purpose: Purpose, values: &[u64], width: u32) {
        let alice = self.with_alice.words(self.instruction, purpose, values.len());
        bits::pack(values.iter().zip(alice).map(|(v, a)| v.wrapping_sub(a)), width, &mut self.message);
    }

    /// Bit vectors, by XOR.
    pub(super) fn planes(&mut self, purpose: Purpose, planes: &[u64]) {
        let alice = self.with_alice.words(self.instruction, purpose, planes.len());
        let bob: Vec<u64> = planes.iter().zip(alice).map(|(v, a)| v ^ a).collect();
        self.message.extend_from_slice(bytemuck::cast_slice(&bob));
    }

    pub(super) fn message(self) -> Vec<u8> {
        self.message
    }
}

/// A data player's side.
pub(super) enum Dealt {
    /// alice
    Stream { with_carol: Key, instruction: u32 },
    /// bob; the message has been received whole
    Message { bytes: Vec<u8>, read: usize },
}

impl Dealt {
    /// `n` words: additive shares modulo 2^64, or words of bit vectors.
    pub(super) fn words(&mut self, purpose: Purpose, n: usize) -> Vec<u64> {
        match self {
            Dealt::Stream { with_carol, instruction } => with_carol.words(*instruction, purpose, n),
            Dealt::Message { .. } => bytemuck::pod_collect_to_vec(self.take(8 * n)),
        }
    }

    /// Additive shares modulo 2^width.
    pub(super) fn low_bits(&mut self, purpose: Purpose, n: usize, width: u32) -> Vec<u64> {
        match self {
            Dealt::Stream { with_carol, instruction } => {
                with_carol.words(*instruction, purpose, n).into_iter().map(|v| v & bits::low_mask(width)).collect()
            }
            Dealt::Message { .. } => bits::unpack(self.take(bits::packed_len(n, width)), n, width),
        }
    }

    fn take(&mut self, len: usize) -> &[u8] {
        match self {
            Dealt::Stream { .. } => &[],
            Dealt::Message { bytes, read } => {
                *read += len;
                &bytes[*read - len..*read]
            }
        }
    }
}
