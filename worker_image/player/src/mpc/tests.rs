//! The protocol with three parties in threads, against integer arithmetic on the plain values.

use std::collections::HashMap;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::Duration;

use safetensors::{serialize, tensor::TensorView, Dtype};
use sha2::{Digest, Sha256};

use super::prg::{Key, Purpose};
use super::{run, BatchKeys, Channel, ChannelError};
use crate::role::Role;
use crate::shares::Shares;

type Message = (u32, u8, Vec<u8>);

/// Links of one party to the other two, in memory.
struct Memory {
    to: HashMap<Role, Sender<Message>>,
    from: HashMap<Role, Receiver<Message>>,
}

impl Channel for Memory {
    fn send(&mut self, to: Role, instruction: u32, step: u8, payload: &[u8]) -> Result<(), ChannelError> {
        self.to[&to].send((instruction, step, payload.to_vec())).map_err(|_| ChannelError::Lost(to))
    }

    fn recv(&mut self, from: Role, instruction: u32, step: u8, len: usize) -> Result<Vec<u8>, ChannelError> {
        let (i, s, payload) = self.from[&from].recv_timeout(Duration::from_secs(60)).map_err(|_| ChannelError::Stalled(from))?;
        assert_eq!((i, s, payload.len()), (instruction, step, len), "the message that was asked for");
        Ok(payload)
    }
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
    Key::new(key).words(0, Purpose::Own, n)
}

/// The three share files of a program, read back as a player does.
fn share(program: &str, weights: &[(usize, Vec<usize>, Vec<u64>)]) -> [Shares; 3] {
    Role::ALL.map(|role| {
        let parts: Vec<(String, Vec<usize>, Vec<u8>)> = weights
            .iter()
            .flat_map(|(i, shape, w)| {
                let (la, lb) = (random(1000 + *i as u64, w.len()), random(2000 + *i as u64, w.len()));
                let m: Vec<u64> = (0..w.len()).map(|e| w[e].wrapping_add(la[e]).wrapping_add(lb[e])).collect();
                let all = [("m", m, role != Role::Carol), ("la", la, role != Role::Bob), ("lb", lb, role != Role::Alice)];
                all.into_iter()
                    .filter(|(_, _, held)| *held)
                    .map(move |(part, values, _)| (format!("{i}.{part}"), shape.clone(), bytemuck::cast_slice(&values).to_vec()))
            })
            .collect();
        let views: Vec<(&str, TensorView)> =
            parts.iter().map(|(name, shape, bytes)| (name.as_str(), TensorView::new(Dtype::U64, shape.clone(), bytes).expect("tensor"))).collect();
        let metadata = HashMap::from(
            [
                ("format", "securemodel-shares/1".to_string()),
                ("role", role.to_string()),
                ("protocol", "ASTRA".into()),
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

/// What alice and bob would send to the client; `seed` makes the batch keys and the client's shares.
fn output_shares(shares: &[Shares; 3], rows: usize, input: &[u64], seed: u64) -> [Vec<u64>; 2] {
    let key = |pair: u8| Some([pair, seed as u8, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    let keys = [
        BatchKeys { ab: key(1), ac: key(2), bc: None },
        BatchKeys { ab: key(1), ac: None, bc: key(3) },
        BatchKeys { ab: None, ac: key(2), bc: key(3) },
    ];
    let a = random(seed + 77, input.len());
    let b: Vec<u64> = input.iter().zip(&a).map(|(x, a)| x.wrapping_sub(*a)).collect();
    let mut outputs: Vec<Option<Vec<u64>>> = std::thread::scope(|scope| {
        let inputs = [Some(a), Some(b), None];
        let handles: Vec<_> = memory()
            .into_iter()
            .zip(shares)
            .zip(&keys)
            .zip(inputs)
            .map(|(((mut memory, shares), keys), input)| scope.spawn(move || run(shares, keys, rows, input, &mut memory).expect("runs")))
            .collect();
        handles.into_iter().map(|h| h.join().expect("no panic")).collect()
    });
    assert!(outputs[2].is_none(), "carol has no output");
    [0, 1].map(|i| outputs[i].take().expect("a data player has an output"))
}

/// Uniform values with |v| < 2^bits, the edges and their neighbours among them.
fn values(bits: u32, n: usize) -> Vec<i64> {
    let edge = 1i64 << bits;
    let special =
        [0, 1, -1, 2, -2, 65535, 65536, 65537, -65535, -65536, -65537, edge - 1, edge - 2, -edge + 1, -edge + 2, edge / 2, -edge / 2, edge / 2 - 1];
    let uniform = random(u64::from(bits), n - special.len());
    let uniform = uniform.into_iter().map(|v| (v as i64) >> (63 - bits)).map(|v| if v == -edge { 0 } else { v });
    special.into_iter().chain(uniform).collect()
}

fn elementwise(middle: &str) -> String {
    format!(r#"{{"fraction_bits":16,"instructions":[{{"bound":65536,"op":"input","shape":[1000]}},{middle}],"version":1}}"#)
}

fn ring(values: &[i64]) -> Vec<u64> {
    values.iter().map(|v| *v as u64).collect()
}

const MILLION: usize = 1_000_000;

#[test]
fn a_million_truncations_over_the_whole_range_are_the_floor_or_one_more() {
    for shift in [1u32, 16, 18, 31] {
        let program = elementwise(&format!(
            r#"{{"factor":1,"in":[0],"op":"scale","shape":[1000]}},{{"in":[1],"op":"truncate","shape":[1000],"shift":{shift}}},{{"in":[2],"op":"output","shape":[1000]}}"#
        ));
        let z = values(62, if shift == 16 { MILLION } else { MILLION / 10 });
        let t = reconstruct(&share(&program, &[]), z.len() / 1000, &ring(&z), u64::from(shift));
        for (z, t) in z.iter().zip(t) {
            let floor = z >> shift;
            assert!(t as i64 == floor || t as i64 == floor + 1, "{z} >> {shift} gave {}", t as i64);
        }
    }
}

#[test]
fn a_million_comparisons_over_the_whole_window_are_right() {
    let program = elementwise(r#"{"in":[0],"op":"relu","shape":[1000]},{"in":[1],"op":"output","shape":[1000]}"#);
    let x = values(31, MILLION);
    let y = reconstruct(&share(&program, &[]), x.len() / 1000, &ring(&x), 1);
    for (x, y) in x.iter().zip(y) {
        assert_eq!(y as i64, (*x).max(0), "relu of {x}");
    }
}

#[test]
fn truncation_and_comparison_in_one_are_right_over_the_whole_window() {
    for shift in [16u32, 18] {
        let program = elementwise(&format!(
            r#"{{"factor":1,"in":[0],"op":"scale","shape":[1000]}},{{"in":[1],"op":"truncate_relu","shape":[1000],"shift":{shift}}},{{"in":[2],"op":"output","shape":[1000]}}"#
        ));
        let mut z = values(31 + shift, 500_000);
        z.extend((-1000..1000).flat_map(|t: i64| [t << shift, (t << shift) - 1]));
        let most = ((1i64 << 31) - 2) << shift; // one more unit may come from the truncation
        z.iter_mut().for_each(|z| *z = (*z).clamp(-most, most));
        let y = reconstruct(&share(&program, &[]), z.len() / 1000, &ring(&z), u64::from(shift));
        for (z, y) in z.iter().zip(y) {
            let floor = z >> shift;
            assert!(y as i64 == floor.max(0) || y as i64 == (floor + 1).max(0), "{z} gave {}", y as i64);
        }
    }
}

#[test]
fn a_small_network_with_every_instruction_agrees_with_integer_arithmetic() {
    let program = r#"{"fraction_bits":16,"instructions":[{"bound":65536,"op":"input","shape":[6,6,2]},{"op":"weight","scale":16,"shape":[3,3,2,5]},
        {"op":"weight","scale":32,"shape":[5]},{"dilation":[1,1],"in":[0],"op":"sum_pool","shape":[5,5,2],"stride":[1,1],"window":[2,2]},
        {"in":[3,1],"op":"conv2d","shape":[2,2,5],"stride":[2,2]},{"in":[4,2],"op":"add","shape":[2,2,5]},
        {"in":[5],"op":"truncate_relu","shape":[2,2,5],"shift":18},{"in":[6],"op":"transpose","perm":[2,0,1],"shape":[5,2,2]},
        {"in":[7],"op":"reshape","shape":[20]},{"op":"weight","scale":16,"shape":[20,3]},{"in":[8,9],"op":"matmul","shape":[3]},
        {"in":[10],"op":"truncate","shape":[3],"shift":16},{"in":[11],"op":"relu","shape":[3]},{"factor":3,"in":[12],"op":"scale","shape":[3]},
        {"in":[13],"op":"truncate_output","shape":[3],"shift":1}],"version":1}"#;
    let fixed = |seed, n: usize| -> Vec<i64> { random(seed, n).into_iter().map(|v| (v as i64) >> 47).collect() }; // |v| < 1 in 16 fraction bits
    let (kernel, bias, dense) = (fixed(1, 90), fixed(2, 5).into_iter().map(|v| v << 18).collect::<Vec<i64>>(), fixed(3, 60));
    let weights = [(1, vec![3, 3, 2, 5], ring(&kernel)), (2, vec![5], ring(&bias)), (9, vec![20, 3], ring(&dense))];
    let shares = share(program, &weights);
    let rows = 33;
    let x = fixed(4, rows * 72);
    let got = reconstruct(&shares, rows, &ring(&x), 9);
    for row in 0..rows {
        let x = &x[row * 72..(row + 1) * 72];
        let pooled = |y: usize, c: usize, ch: usize| -> i64 {
            [(0, 0), (0, 1), (1, 0), (1, 1)].iter().map(|(dy, dx)| x[((y + dy) * 6 + c + dx) * 2 + ch]).sum()
        };
        let mut hidden = [0i64; 20]; // (O, H, W)
        for (o, y, c) in (0..5).flat_map(|o| (0..2).flat_map(move |y| (0..2).map(move |c| (o, y, c)))) {
            let mut z = bias[o];
            for (ky, kx, ch) in (0..3).flat_map(|ky| (0..3).flat_map(move |kx| (0..2).map(move |ch| (ky, kx, ch)))) {
                z += pooled(2 * y + ky, 2 * c + kx, ch) * kernel[((ky * 3 + kx) * 2 + ch) * 5 + o];
            }
            hidden[(o * 2 + y) * 2 + c] = (z >> 18).max(0);
        }
        for j in 0..3 {
            let sum: i64 = (0..20).map(|i| hidden[i] * dense[i * 3 + j]).sum();
            let logit = ((sum >> 16).max(0) * 3) >> 1;
            let error = (got[row * 3 + j] as i64 - logit).abs();
            assert!(error <= 40, "row {row}, output {j}: {} and {logit}", got[row * 3 + j] as i64);
            // 21 roundings of at most 1, weights below 1
        }
    }
}

#[test]
fn output_shares_are_fresh_in_every_batch() {
    let program = elementwise(r#"{"in":[0],"op":"relu","shape":[1000]},{"in":[1],"op":"output","shape":[1000]}"#);
    let shares = share(&program, &[]);
    let x = ring(&values(20, 1000));
    let [[a1, b1], [a2, b2]] = [1, 2].map(|seed| output_shares(&shares, 1, &x, seed));
    let equal = |x: &[u64], y: &[u64]| x.iter().zip(y).filter(|(x, y)| x == y).count();
    assert_eq!((equal(&a1, &a2), equal(&b1, &b2)), (0, 0), "no share repeats");
    let sum = |a: &[u64], b: &[u64]| -> Vec<u64> { a.iter().zip(b).map(|(a, b)| a.wrapping_add(*b)).collect() };
    assert_eq!(sum(&a1, &b1), sum(&a2, &b2), "the value does");
}
