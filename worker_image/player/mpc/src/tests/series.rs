//! A network that runs many times, and what one observer receives. Keys that the observer knows
//! stay the same in all runs, the others change.

use super::enumerated::Observer;
use super::parties::{fields, three, Field, Frame, Kind, Pair};
use super::planted::{Defect, Leak, Planted};
use super::*;
use crate::compare::{with_comparison, Comparison};
use crate::interpreter::{execute, Protocol};
use crate::message::{Step, STEPS};
use crate::program::instruction::Instruction;
use crate::random::ring::Z64;

pub(super) struct Network {
    program: &'static str,
    /// Of the input, for one row.
    elements: usize,
    /// Instruction and shape.
    weights: &'static [(usize, &'static [usize])],
}

/// A little of each kind.
pub(super) const SMALL: Network = Network {
    program: r#"{"fraction_bits":16,"instructions":[
    {"bound":65536,"op":"input","shape":[4,4,8]},
    {"op":"weight","scale":16,"shape":[1,1,8,4]},
    {"in":[0,1],"op":"conv2d","shape":[4,4,4],"stride":[1,1]},
    {"in":[2],"op":"truncate_relu","shape":[4,4,4],"shift":16},
    {"in":[3],"op":"max_pool","shape":[2,2,4],"stride":[2,2],"window":[2,2]},
    {"in":[4],"op":"relu","shape":[2,2,4],"threshold":6554},
    {"in":[5],"op":"reshape","shape":[16]},
    {"op":"weight","scale":16,"shape":[16,4]},
    {"in":[6,7],"op":"matmul","shape":[4]},
    {"in":[8],"op":"truncate_output","shape":[4],"shift":16}],"version":1}"#,
    elements: 128,
    weights: &[(1, &[1, 1, 8, 4]), (7, &[16, 4])],
};

/// Instructions that compare, and their randomness, at tensors of several blocks. Of any two of the
/// low three bits of an instruction's number there are two instructions of one form that differ in
/// nothing else.
pub(super) const WIDE: Network = Network {
    program: r#"{"fraction_bits":16,"instructions":[
    {"bound":65536,"op":"input","shape":[20,65,1]},
    {"factor":65536,"in":[0],"op":"scale","shape":[20,65,1]},
    {"in":[1],"op":"truncate_relu","shape":[20,65,1],"shift":16},
    {"factor":65536,"in":[2],"op":"scale","shape":[20,65,1]},
    {"in":[3],"op":"truncate_relu","shape":[20,65,1],"shift":16},
    {"in":[4],"op":"relu","shape":[20,65,1],"threshold":6554},
    {"in":[5],"op":"max_pool","shape":[19,64,1],"stride":[1,1],"window":[2,2]},
    {"factor":65536,"in":[6],"op":"scale","shape":[19,64,1]},
    {"in":[7],"op":"truncate_output","shape":[19,64,1],"shift":16}],"version":1}"#,
    elements: 1300,
    weights: &[],
};

/// A comparison of more than 131,072 elements.
pub(super) const LONG: Network = Network {
    program: r#"{"fraction_bits":16,"instructions":[
    {"bound":65536,"op":"input","shape":[132600]},
    {"factor":65536,"in":[0],"op":"scale","shape":[132600]},
    {"in":[1],"op":"truncate_relu","shape":[132600],"shift":16},
    {"in":[2],"op":"output","shape":[132600]}],"version":1}"#,
    elements: 132_600,
    weights: &[],
};

/// What changes in the input from run to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrets {
    /// Nothing; the client's share of the other data player is zero, so that his first message is
    /// his mask.
    Fixed,
    /// A coin chooses between two values far apart.
    Two,
}

/// One series of runs.
#[derive(Clone, Copy)]
pub(super) struct Series {
    pub network: &'static Network,
    pub rows: usize,
    pub runs: u32,
    pub protocol: ProtocolName,
    pub observer: Observer,
    pub secrets: Secrets,
    pub leak: Option<Leak>,
    pub seed: u64,
}

/// A message as the observer got it, or what else it is given.
pub(super) struct Seen {
    pub name: String,
    /// The player that sent it, and the step without the level; nothing for what came with a
    /// request or a result.
    pub sent: Option<(Role, u8)>,
    pub fields: Vec<Field>,
}

impl Seen {
    /// A vector of a private compare.
    pub(super) fn entries_from(&self) -> Option<Role> {
        self.sent.filter(|(_, step)| *step == Step::Entries.at(0)).map(|(from, _)| from)
    }
}

impl Series {
    /// Calls `look` with each run's class of secret and with what was seen, in the same order in
    /// every run.
    pub(super) fn each_run(&self, look: impl FnMut(usize, Vec<Seen>)) {
        with_comparison!(self.protocol, C => self.each_run_of::<C>(look))
    }

    fn each_run_of<C: Comparison>(&self, mut look: impl FnMut(usize, Vec<Seen>)) {
        let (shares, classes) = (self.shares(), random(self.seed ^ 2, self.runs as usize));
        for (run, class) in (0..self.runs).zip(classes) {
            let class = (class & 1) as usize;
            let batch = self.batch::<C>(&shares, run, class);
            look(class, self.seen::<C>(&shares[0].program.instructions, batch));
        }
    }

    fn inputs(&self) -> usize {
        self.rows * self.network.elements
    }

    /// The key of a pair: the same in every run if the observer knows it. The client's shares must
    /// be fresh even to someone who knows all keys but that of alice and bob.
    fn key(&self, pair: Pair, run: u32) -> [u8; 16] {
        let known = match self.observer {
            Observer::Player(role) => pair.has(role),
            Observer::Client => pair != Pair::AliceBob,
        };
        let run = if known { 0 } else { 1 + run };
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..12].copy_from_slice(&run.to_le_bytes());
        key[12] = pair as u8;
        key
    }

    fn source(&self, pair: Pair, run: u32) -> Planted {
        let leak = self.leak.filter(|leak| leak.pair == pair);
        let wrong = match leak.map(|leak| leak.defect) {
            Some(Defect::KeyOf(other)) => self.key(other, run),
            _ => self.key(pair, run & !1),
        };
        let defect = leak.map(|leak| (leak.purpose, leak.defect));
        Planted { key: Key::new(self.key(pair, run)), wrong: Key::new(wrong), defect }
    }

    /// The client's shares for alice and bob.
    fn input(&self, class: usize) -> [Vec<u64>; 2] {
        let known = random(self.seed ^ 1, self.inputs());
        let (known, other): (Vec<u64>, Vec<u64>) = match self.secrets {
            // |x| < 1/2
            Secrets::Fixed => known.into_iter().map(|word| ((word as i64 >> 48) as u64, 0)).unzip(),
            Secrets::Two => {
                let x = [-65536i64, 65536][class] as u64;
                known.into_iter().map(|word| (word, x.wrapping_sub(word))).unzip()
            }
        };
        match self.observer {
            Observer::Player(Role::Bob) => [other, known],
            _ => [known, other],
        }
    }

    fn shares(&self) -> [Shares; 3] {
        let weights: Vec<(usize, Vec<usize>, Vec<u64>)> = self
            .network
            .weights
            .iter()
            .map(|(at, shape)| {
                let values = random(*at as u64, shape.iter().product());
                (
                    *at,
                    shape.to_vec(),
                    values.into_iter().map(|word| (word as i64 >> 48) as u64).collect(),
                )
            })
            .collect();
        share(self.protocol, self.network.program, &weights)
    }

    /// One run.
    fn batch<C: Comparison>(&self, shares: &[Shares; 3], run: u32, class: usize) -> Batch {
        let [a, b] = self.input(class);
        // bob and carol have one more key for each request
        let mut request = self.key(Pair::BobCarol, run);
        request[15] = 1;
        let mask = request_mask(&request, self.inputs());
        let masked: Vec<u64> = b.iter().zip(&mask).map(|(b, mask)| b.wrapping_add(*mask)).collect();
        let work = |role: Role, party: &mut dyn Protocol| {
            let input = match role {
                Role::Alice => PartyInput::Alice { share: a.clone(), bob: masked.clone() },
                Role::Bob => PartyInput::Bob { masked: masked.clone(), mask: mask.clone() },
                Role::Carol => PartyInput::Carol { mask: mask.clone() },
            };
            execute(&shares[role as usize], self.rows, input, party).expect("runs")
        };
        let [(alice, to_alice), (bob, to_bob), (_, to_carol)] =
            three::<Z64, C, _, _>(|pair| self.source(pair, run), work);
        let outputs = [alice, bob].map(|share| share.expect("a data player has an output"));
        Batch { masked, outputs, received: [to_alice, to_bob, to_carol] }
    }

    /// What the observer sees of a run.
    fn seen<C: Comparison>(&self, program: &[Instruction], batch: Batch) -> Vec<Seen> {
        let words = |name: &str, purpose, values| Seen {
            name: name.into(),
            sent: None,
            fields: vec![Field { purpose, kind: Kind::Bits(64), values }],
        };
        let Observer::Player(player) = self.observer else {
            let [alice, bob] = batch.outputs;
            return vec![
                words("from alice", Purpose::Zero, alice),
                words("from bob", Purpose::Zero, bob),
            ];
        };
        let request = (player == Role::Alice)
            .then(|| words("request from bob", Purpose::Request, batch.masked));
        let messages = batch.received[player as usize].iter().map(|frame| {
            let (n, shift, compares) =
                about(&program[frame.instruction as usize], self.rows, frame.step);
            Seen {
                name: format!(
                    "instruction {} step {} from {}",
                    frame.instruction, frame.step, frame.from
                ),
                sent: Some((frame.from, frame.step % STEPS)),
                fields: fields::<Z64, C>(frame, n, shift, compares),
            }
        });
        request.into_iter().chain(messages).collect()
    }
}

/// Elements, shift and comparison of an instruction's message.
fn about(instruction: &Instruction, rows: usize, step: u8) -> (usize, Option<u32>, bool) {
    let n = rows * instruction.op().shape().iter().product::<usize>();
    match instruction {
        Instruction::Relu(_) => (n, None, true),
        Instruction::TruncateRelu(op) => (n, Some(op.shift), true),
        Instruction::Truncate(op) => (n, Some(op.shift), false),
        Instruction::TruncateOutput(op) => (n, Some(op.shift), false),
        // pairs of a window of two or four, then one
        Instruction::MaxPool(op) => {
            ((n * op.window[0] * op.window[1]) >> (1 + step / STEPS), None, true)
        }
        _ => (n, None, false),
    }
}

/// What one run gave.
struct Batch {
    /// bob's share of the input as alice gets it with the request.
    masked: Vec<u64>,
    outputs: [Vec<u64>; 2],
    received: [Vec<Frame>; 3],
}
