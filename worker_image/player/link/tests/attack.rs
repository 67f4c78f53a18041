//! The attack on masks that are reused over calls, on our players. It gives queries away on stock
//! TF Encrypted ABY3 (tests/trio/test_attack.py), gives them away here if the same keys are planted
//! for two batches, and yields noise with the keys that two batches have.
//!
//! The attacker is alice: semi-honest, with her shares, her keys and the messages she exchanges
//! with bob. She is a client too, so she knows one query.

use std::collections::HashMap;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::Duration;

use safetensors::tensor::TensorView;
use securemodel_link::epoch::{KeyChain, LinkSecret, RequestKey, RequestKeys};
use securemodel_mpc::protocol::ProtocolName;
use securemodel_mpc::role::Role;
use securemodel_mpc::share_file::Shares;
use securemodel_mpc::{request_mask, run, BatchKeys, Channel, ChannelError, PartyInput, Workspace};
use sha2::{Digest, Sha256};

/// Elements of a query, and of every value in the program.
const N: usize = 4096;
/// The factor of the program's product.
const FACTOR: u64 = 1 << 16;
/// alice's message of the input, and of the opening of the truncation: instruction and step.
const INPUT: (Role, u32, u8) = (Role::Bob, 0, 7);
const OPENING: (Role, u32, u8) = (Role::Bob, 2, 1);
/// The epoch, and the digest and generation that keys are made for.
const EPOCH: [u8; 16] = [9; 16];
const DIGEST: [u8; 32] = [2; 32];
const GENERATION: [u8; 16] = [3; 16];

fn program() -> String {
    format!(
        concat!(
            r#"{{"fraction_bits":16,"instructions":["#,
            r#"{{"bound":1048576,"op":"input","shape":[{n}]}},"#,
            r#"{{"factor":{f},"in":[0],"op":"scale","shape":[{n}]}},"#,
            r#"{{"in":[1],"op":"truncate_relu","shape":[{n}],"shift":16}},"#,
            r#"{{"in":[2],"op":"output","shape":[{n}]}}],"version":1}}"#
        ),
        n = N,
        f = FACTOR
    )
}

fn shares(role: Role, protocol: ProtocolName) -> Shares {
    let program = program();
    let metadata = [
        ("format", "securemodel-shares/1".to_owned()),
        ("role", role.to_string()),
        ("protocol", protocol.to_string()),
        ("fraction_bits", "16".into()),
        ("generation", "0".repeat(32)),
        ("digest", hex::encode(Sha256::digest(&program))),
        ("program", program),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
    let file =
        safetensors::serialize(Vec::<(String, TensorView)>::new(), Some(metadata)).expect("a file");
    Shares::parse(&file).expect("a share file")
}

/// What one party sends and receives, recorded.
struct Recorder {
    to: HashMap<Role, Sender<Vec<u64>>>,
    from: HashMap<Role, Receiver<Vec<u64>>>,
    sent: HashMap<(Role, u32, u8), Vec<u64>>,
    received: HashMap<(Role, u32, u8), Vec<u64>>,
}

impl Channel for Recorder {
    fn send(
        &mut self,
        to: Role,
        instruction: u32,
        step: u8,
        words: &[u64],
    ) -> Result<(), ChannelError> {
        self.sent.insert((to, instruction, step), words.to_vec());
        self.to[&to].send(words.to_vec()).map_err(|_| ChannelError::Lost(to))
    }

    fn recv(
        &mut self,
        from: Role,
        instruction: u32,
        step: u8,
        _: usize,
    ) -> Result<Vec<u64>, ChannelError> {
        let words = self.from[&from]
            .recv_timeout(Duration::from_secs(30))
            .map_err(|_| ChannelError::Stalled(from))?;
        self.received.insert((from, instruction, step), words.clone());
        Ok(words)
    }

    fn recycle(&mut self, _: Role, _: Vec<u64>) {}
}

fn recorders() -> [Recorder; 3] {
    let mut all = Role::ALL.map(|_| Recorder {
        to: HashMap::new(),
        from: HashMap::new(),
        sent: HashMap::new(),
        received: HashMap::new(),
    });
    for a in Role::ALL {
        for b in a.peers() {
            let (to, from) = channel();
            all[a as usize].to.insert(b, to);
            all[b as usize].from.insert(a, from);
        }
    }
    all
}

/// The keys of a batch of one request.
struct Keys {
    batch: [BatchKeys; 3],
    request: RequestKey,
}

/// The keys of batch and request `number` of an epoch, as the three players make them.
fn keys(number: usize) -> Keys {
    let secret = |a: Role, b: Role| LinkSecret([1 << a as u8 | 1 << b as u8; 32]);
    let batch = Role::ALL.map(|role| {
        let mut chain =
            KeyChain::new(role, &EPOCH, role.peers().map(|peer| secret(role, peer)).each_ref());
        let mut keys = chain.take(&DIGEST, &GENERATION, b"");
        (0..number).for_each(|_| keys = chain.take(&DIGEST, &GENERATION, b""));
        keys
    });
    let request = RequestKeys::new(&EPOCH, &secret(Role::Bob, Role::Carol)).find(
        number as u64,
        &DIGEST,
        &GENERATION,
    );
    Keys { batch, request: request.expect("a key") }
}

/// Runs one query; returns two masked multiples of it that alice sees: the input, and FACTOR times
/// the query, opened by the truncation.
fn opened(query: &[i64], keys: Keys, protocol: ProtocolName, noise: &mut Noise) -> [Vec<u64>; 2] {
    let share: Vec<u64> = query.iter().map(|_| noise.next()).collect();
    let mask = request_mask(&keys.request, N);
    let masked = query
        .iter()
        .zip(&share)
        .zip(&mask)
        .map(|((x, a), mask)| (*x as u64).wrapping_sub(*a).wrapping_add(*mask));
    let bob: Vec<u64> = masked.collect();
    let inputs = [
        PartyInput::Alice { share, bob: bob.clone() },
        PartyInput::Bob { masked: bob.clone(), mask: mask.clone() },
        PartyInput::Carol { mask },
    ];
    let alice = std::thread::scope(|scope| {
        let parties = Role::ALL.into_iter().zip(recorders()).zip(keys.batch).zip(inputs);
        let running: Vec<_> = parties
            .map(|(((role, mut recorder), keys), input)| {
                scope.spawn(move || {
                    run(
                        &shares(role, protocol),
                        &keys,
                        1,
                        input,
                        &mut recorder,
                        &mut Workspace::default(),
                    )
                    .expect("runs");
                    recorder
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).next().expect("alice")
    });
    let sum = |own: &[u64], theirs: &[u64]| {
        own.iter().zip(theirs).map(|(a, b)| a.wrapping_add(*b)).collect()
    };
    [sum(&alice.sent[&INPUT], &bob), sum(&alice.sent[&OPENING], &alice.received[&OPENING])]
}

/// What alice makes of two transcripts and the query she knows: by how much each opened value
/// misses the victim's query. The masks cancel if they are the same.
fn attack(numbers: [usize; 2], protocol: ProtocolName) -> [Vec<u64>; 2] {
    let mut noise = Noise(1);
    // |v| < 16 in 16 fraction bits
    let [known, victim] =
        [0, 1].map(|_| (0..N).map(|_| noise.next() as i64 >> 44).collect::<Vec<i64>>());
    let [known_view, victim_view] = [(&known, 0), (&victim, 1)]
        .map(|(query, i)| opened(query, keys(numbers[i]), protocol, &mut noise));
    [(0, 1), (1, FACTOR)].map(|(at, factor)| {
        let views = known_view[at]
            .iter()
            .zip(&victim_view[at])
            .map(|(known, victim)| victim.wrapping_sub(*known));
        let queries = known
            .iter()
            .zip(&victim)
            .map(|(known, victim)| ((victim - known) as u64).wrapping_mul(factor));
        views.zip(queries).map(|(found, expected)| found.wrapping_sub(expected)).collect()
    })
}

/// Fixed-seed randomness for queries and shares (splitmix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// Pearson's statistic of the top four bits: 15 degrees of freedom if they are uniform.
fn chi_square(values: &[u64]) -> f64 {
    let mut bins = [0f64; 16];
    values.iter().for_each(|v| bins[(v >> 60) as usize] += 1.0);
    let expected = values.len() as f64 / 16.0;
    bins.iter().map(|count| (count - expected).powi(2) / expected).sum()
}

#[test]
fn batches_with_the_same_keys_give_a_query_away() {
    for errors in ProtocolName::ALL.into_iter().flat_map(|protocol| attack([0, 0], protocol)) {
        assert!(
            errors.iter().all(|e| *e == 0),
            "the difference of two opened values is the difference of the queries, to the last bit"
        );
    }
}

#[test]
fn batches_of_an_epoch_give_noise() {
    for errors in ProtocolName::ALL.into_iter().flat_map(|protocol| attack([0, 1], protocol)) {
        let magnitudes = errors.iter().map(|e| (*e as i64).unsigned_abs());
        assert!(
            magnitudes.clone().min() > Some(1 << 40),
            "none of {N} values is near the victim's"
        );
        let mean = magnitudes.map(|e| e as f64).sum::<f64>() / N as f64;
        assert!(
            (mean / 2f64.powi(62) - 1.0).abs() < 0.05,
            "the errors are as large as those of uniform values: {mean:e}"
        );
        let statistic = chi_square(&errors);
        assert!(
            statistic < 56.5,
            "the high bits are uniform: {statistic} is exceeded once in a million times"
        );
        // chi-square, 15 degrees of freedom
    }
}
