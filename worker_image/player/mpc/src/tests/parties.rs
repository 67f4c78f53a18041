//! The three parties over any ring and any source of randomness, in threads, and what each of them
//! received, field by field.

use super::*;
use crate::block::{blocks, plane_words, Block};
use crate::compare::selection;
use crate::compare::Comparison;
use crate::interpreter::Protocol;
use crate::message::{Layout, Part, Step, STEPS};
use crate::party::data::Data;
use crate::party::helper::Helper;
use crate::party::truncation;
use crate::random::ring::Ring;
use crate::simd::bits;

/// Who shares a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pair {
    AliceBob,
    AliceCarol,
    BobCarol,
    /// carol alone
    Carol,
}

impl Pair {
    pub(super) fn of(a: Role, b: Role) -> Pair {
        match (a, b) {
            (Role::Alice, Role::Bob) | (Role::Bob, Role::Alice) => Pair::AliceBob,
            (Role::Alice, Role::Carol) | (Role::Carol, Role::Alice) => Pair::AliceCarol,
            (Role::Bob, Role::Carol) | (Role::Carol, Role::Bob) => Pair::BobCarol,
            _ => Pair::Carol,
        }
    }

    pub(super) fn has(self, role: Role) -> bool {
        match self {
            Pair::AliceBob => role != Role::Carol,
            Pair::AliceCarol => role != Role::Bob,
            Pair::BobCarol => role != Role::Alice,
            Pair::Carol => role == Role::Carol,
        }
    }
}

/// A message as it was received.
pub(super) struct Frame {
    pub from: Role,
    pub instruction: u32,
    pub step: u8,
    pub words: Vec<u64>,
}

/// A link that keeps what came.
struct Tapped {
    link: Memory,
    frames: Vec<Frame>,
}

impl Channel for Tapped {
    fn send(
        &mut self,
        to: Role,
        instruction: u32,
        step: u8,
        words: &[u64],
    ) -> Result<(), ChannelError> {
        self.link.send(to, instruction, step, words)
    }

    fn recv(
        &mut self,
        from: Role,
        instruction: u32,
        step: u8,
        len: usize,
    ) -> Result<Vec<u64>, ChannelError> {
        let words = self.link.recv(from, instruction, step, len)?;
        self.frames.push(Frame { from, instruction, step, words: words.clone() });
        Ok(words)
    }

    fn recycle(&mut self, _: Role, _: Vec<u64>) {}
}

/// Runs `work` as each of the three; returns its results and what each received.
pub(super) fn three<R: Ring, C: Comparison, S: Source, T: Send>(
    source: impl Fn(Pair) -> S + Sync,
    work: impl Fn(Role, &mut dyn Protocol) -> T + Sync,
) -> [(T, Vec<Frame>); 3] {
    let party = |role: Role, link: Memory| {
        let (mut channel, mut workspace) = (Tapped { link, frames: vec![] }, Workspace::default());
        let with = |other| source(Pair::of(role, other));
        let (link, workspace) = (&mut channel, &mut workspace);
        let result = if role == Role::Carol {
            let [alice, bob, own] = Role::ALL.map(with);
            work(role, &mut Helper::<R, _, C>::new(alice, bob, own, link, workspace))
        } else {
            let peer = with(if role == Role::Alice { Role::Bob } else { Role::Alice });
            work(role, &mut Data::<R, _, C>::new(role, with(Role::Carol), peer, link, workspace))
        };
        (result, channel.frames)
    };
    let party = &party;
    let mut links = memory().into_iter();
    std::thread::scope(|scope| {
        let handles = Role::ALL.map(|role| {
            let link = links.next().expect("a link each");
            scope.spawn(move || party(role, link))
        });
        handles.map(|handle| handle.join().expect("no panic"))
    })
}

/// How a field's values are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Numbers of that many uniform bits.
    Bits(u32),
    /// Three digits modulo the ring's prime.
    Triple,
}

/// One part of a message: a value for each element.
pub(super) struct Field {
    pub purpose: Purpose,
    pub kind: Kind,
    pub values: Vec<u64>,
}

/// What a message holds of each of its `n` elements. `shift`: that of the instruction, if it
/// truncates; `compares`: whether it compares.
pub(super) fn fields<R: Ring, C: Comparison>(
    frame: &Frame,
    n: usize,
    shift: Option<u32>,
    compares: bool,
) -> Vec<Field> {
    let planes = frame.words.len() / plane_words(n, 1).max(1);
    let parts = match Step::ALL[usize::from(frame.step % STEPS)] {
        Step::Deal => {
            let truncation = shift.map(truncation::parts).into_iter().flatten();
            truncation.chain(compares.then(|| C::parts::<R>(shift)).into_iter().flatten()).collect()
        }
        Step::Open => vec![(Purpose::Gamma, Part::Words)],
        Step::And1 => vec![(Purpose::AndMask1, Part::Planes(planes))],
        Step::And2 => vec![(Purpose::AndMask2, Part::Planes(planes))],
        Step::Bit => vec![(Purpose::Rho, Part::Planes(1))],
        Step::Entries => vec![(Purpose::Blind, Part::Triples(R::TRIPLES))],
        Step::Select => selection::parts(shift),
        Step::Mask => vec![(Purpose::Mask, Part::Words)],
    };
    let layout = Layout::new(parts.iter().copied());
    assert_eq!(layout.words(n), frame.words.len(), "every word of a message belongs to a field");
    let words = |purpose, block: Block| &frame.words[layout.at(purpose, block)];
    let mut out = vec![];
    for (purpose, part) in parts {
        match part {
            Part::Words => {
                let values =
                    blocks(n).flat_map(|block| words(purpose, block).iter().copied()).collect();
                out.push(Field { purpose, kind: Kind::Bits(R::BITS), values });
            }
            Part::Planes(count) => {
                for first in (0..count).step_by(32) {
                    let (mut values, some) = (vec![0; n], 32.min(count - first));
                    blocks(n).for_each(|block| {
                        let planes =
                            &words(purpose, block)[first * block.words()..][..some * block.words()];
                        bits::values(planes, some, &mut values[block.range()]);
                    });
                    out.push(Field { purpose, kind: Kind::Bits(some as u32), values });
                }
            }
            Part::Triples(count) => {
                for t in 0..count {
                    let plane = |block: Block| {
                        let numbers: &[u16] = bytemuck::cast_slice(words(purpose, block));
                        &numbers[t * numbers.len() / count..][..block.len]
                    };
                    let values = blocks(n)
                        .flat_map(|block| plane(block).iter().map(|number| u64::from(*number)))
                        .collect();
                    out.push(Field { purpose, kind: Kind::Triple, values });
                }
            }
        }
    }
    out
}
