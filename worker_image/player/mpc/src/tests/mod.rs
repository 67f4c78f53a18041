//! The protocols with three parties in threads, with links in memory and share files made here.

mod aes;
mod buffers;
mod contract;
mod correctness;
mod enumerated;
mod exact;
mod graphs;
mod leaks;
mod parties;
mod plain;
mod planted;
mod programs;
mod repeats;
mod series;
mod sizes;
mod statistics;
mod streams;
mod views;

use std::collections::HashMap;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::Duration;

use safetensors::{serialize, tensor::TensorView, Dtype};
use sha2::{Digest, Sha256};

use super::{request_mask, run, BatchKeys, Channel, ChannelError, PartyInput, Workspace};
use crate::protocol::ProtocolName;
use crate::random::prg::{Key, Source};
use crate::random::tag::{Purpose, Tag};
use crate::role::Role;
use crate::share_file::Shares;

type Message = (u32, u8, Vec<u64>);

/// Links of one party to the other two, in memory.
struct Memory {
    to: HashMap<Role, Sender<Message>>,
    from: HashMap<Role, Receiver<Message>>,
}

impl Channel for Memory {
    fn send(
        &mut self,
        to: Role,
        instruction: u32,
        step: u8,
        words: &[u64],
    ) -> Result<(), ChannelError> {
        self.to[&to].send((instruction, step, words.to_vec())).map_err(|_| ChannelError::Lost(to))
    }

    fn recv(
        &mut self,
        from: Role,
        instruction: u32,
        step: u8,
        len: usize,
    ) -> Result<Vec<u64>, ChannelError> {
        let (i, s, payload) = self.from[&from]
            .recv_timeout(Duration::from_secs(60))
            .map_err(|_| ChannelError::Stalled(from))?;
        assert_eq!(
            (i, s, payload.len()),
            (instruction, step, len),
            "the message that was asked for"
        );
        Ok(payload)
    }

    fn recycle(&mut self, _: Role, _: Vec<u64>) {}
}

fn memory() -> [Memory; 3] {
    let mut parties = Role::ALL.map(|_| Memory { to: HashMap::new(), from: HashMap::new() });
    for (i, a) in Role::ALL.into_iter().enumerate() {
        for (j, b) in Role::ALL.into_iter().enumerate().filter(|(j, _)| *j != i) {
            let (to, from) = channel();
            parties[i].to.insert(b, to);
            parties[j].from.insert(a, from);
        }
    }
    parties
}

/// Fixed-seed values for tests.
fn random(seed: u64, n: usize) -> Vec<u64> {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut out = vec![0; n];
    Key::new(key).words(Tag { instruction: 0, level: 0, purpose: Purpose::Request }, 0, &mut out);
    out
}

/// Whether this is the long run, with fresh seeds and more of everything (`make test-long`).
fn long() -> bool {
    std::env::var_os("SECUREMODEL_LONG").is_some_and(|value| value == "1")
}

/// A seed: always the same one, or in the long run a fresh one, which is printed.
fn seed(fixed: u64) -> u64 {
    if !long() {
        return fixed;
    }
    let fresh = getrandom::u64().expect("system randomness");
    println!("seed {fresh:#x} in place of {fixed:#x}");
    fresh
}

/// The three share files of a program, read back as a player does.
fn share(
    protocol: ProtocolName,
    program: &str,
    weights: &[(usize, Vec<usize>, Vec<u64>)],
) -> [Shares; 3] {
    Role::ALL.map(|role| {
        let parts: Vec<(String, Vec<usize>, Vec<u8>)> = weights
            .iter()
            .flat_map(|(i, shape, w)| {
                let (la, lb) =
                    (random(1000 + *i as u64, w.len()), random(2000 + *i as u64, w.len()));
                let m: Vec<u64> =
                    (0..w.len()).map(|e| w[e].wrapping_add(la[e]).wrapping_add(lb[e])).collect();
                let all = [
                    ("m", m, role != Role::Carol),
                    ("la", la, role != Role::Bob),
                    ("lb", lb, role != Role::Alice),
                ];
                all.into_iter().filter(|(_, _, held)| *held).map(move |(part, values, _)| {
                    (format!("{i}.{part}"), shape.clone(), bytemuck::cast_slice(&values).to_vec())
                })
            })
            .collect();
        let views: Vec<(&str, TensorView)> = parts
            .iter()
            .map(|(name, shape, bytes)| {
                (name.as_str(), TensorView::new(Dtype::U64, shape.clone(), bytes).expect("tensor"))
            })
            .collect();
        let metadata = HashMap::from(
            [
                ("format", "securemodel-shares/1".to_string()),
                ("role", role.to_string()),
                ("protocol", protocol.as_str().into()),
                ("fraction_bits", "16".into()),
                ("generation", "0".repeat(32)),
                ("digest", hex::encode(Sha256::digest(program))),
                ("program", program.into()),
            ]
            .map(|(k, v)| (k.to_string(), v)),
        );
        let file = serialize(views, Some(metadata)).expect("share file");
        Shares::parse(&file).expect("valid share file")
    })
}

/// Runs the three parties on additive shares of `input`; returns the reconstructed output.
fn reconstruct(shares: &[Shares; 3], rows: usize, input: &[u64], seed: u64) -> Vec<u64> {
    let [a, b] = output_shares(shares, rows, input, seed);
    a.iter().zip(b).map(|(a, b)| a.wrapping_add(b)).collect()
}

/// What alice and bob would send to the client; `seed` makes the batch keys and the client's
/// shares.
fn output_shares(shares: &[Shares; 3], rows: usize, input: &[u64], seed: u64) -> [Vec<u64>; 2] {
    let key = |pair: u8| Some([pair, seed as u8, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    let keys = [
        BatchKeys { ab: key(1), ac: key(2), bc: None },
        BatchKeys { ab: key(1), ac: None, bc: key(3) },
        BatchKeys { ab: None, ac: key(2), bc: key(3) },
    ];
    let a = random(seed + 77, input.len());
    let mask = request_mask(&[seed as u8 ^ 0x5a; 16], input.len());
    let masked: Vec<u64> = input
        .iter()
        .zip(&a)
        .zip(&mask)
        .map(|((x, a), mask)| x.wrapping_sub(*a).wrapping_add(*mask))
        .collect();
    let mut outputs: Vec<Option<Vec<u64>>> = std::thread::scope(|scope| {
        let inputs = [
            PartyInput::Alice { share: a, bob: masked.clone() },
            PartyInput::Bob { masked, mask: mask.clone() },
            PartyInput::Carol { mask },
        ];
        let handles: Vec<_> = memory()
            .into_iter()
            .zip(shares)
            .zip(&keys)
            .zip(inputs)
            .map(|(((mut memory, shares), keys), input)| {
                scope.spawn(move || {
                    run(shares, keys, rows, input, &mut memory, &mut Workspace::default())
                        .expect("runs")
                })
            })
            .collect();
        handles.into_iter().map(|h| h.join().expect("no panic")).collect()
    });
    assert!(outputs[2].is_none(), "carol has no output");
    [0, 1].map(|i| outputs[i].take().expect("a data player has an output"))
}
