//! The test model: one dense layer, 3 → 2, with its share files and its client's arithmetic.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{serialize, Dtype};
use securemodel_mpc::protocol::ProtocolName;
use sha2::{Digest, Sha256};

pub const PROGRAM: &str = concat!(
    r#"{"fraction_bits":16,"instructions":["#,
    r#"{"bound":6553600,"op":"input","shape":[3]},{"op":"weight","scale":16,"shape":[3,2]},"#,
    r#"{"in":[0,1],"op":"matmul","shape":[2]},{"op":"weight","scale":32,"shape":[2]},"#,
    r#"{"in":[2,3],"op":"add","shape":[2]},"#,
    r#"{"in":[4],"op":"truncate_output","shape":[2],"shift":16}],"version":1}"#
);
const WEIGHTS: [[f64; 2]; 3] = [[0.5, -1.25], [2.0, 0.125], [-3.5, 1.0]];
const BIAS: [f64; 2] = [0.75, -0.5];

/// The model in the clear.
pub fn plain(row: &[f64; 3]) -> [f64; 2] {
    [0, 1].map(|o| BIAS[o] + row.iter().zip(WEIGHTS).map(|(x, w)| x * w[o]).sum::<f64>())
}

pub fn assert_plain(rows: &[[f64; 3]], got: &[f64]) {
    let expected: Vec<f64> = rows.iter().flat_map(plain).collect();
    assert_eq!(got.len(), expected.len());
    assert!(
        got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-3),
        "{got:?} instead of {expected:?}"
    );
}

fn random(n: usize) -> Vec<u64> {
    let mut bytes = vec![0; n * 8];
    getrandom::fill(&mut bytes).expect("randomness");
    bytemuck::pod_collect_to_vec(&bytes)
}

/// 32 hex digits.
pub fn fresh_id() -> String {
    hex::encode(bytemuck::cast_slice::<u64, u8>(&random(2)))
}

/// The two additive shares of rows, as they go over the wire.
pub fn share_input(rows: &[[f64; 3]]) -> [Vec<u8>; 2] {
    let x: Vec<u64> = rows.iter().flatten().map(|v| (v * 65536.0).round() as i64 as u64).collect();
    let a = random(x.len());
    let b: Vec<u64> = x.iter().zip(&a).map(|(x, a)| x.wrapping_sub(*a)).collect();
    [a, b].map(|share| bytemuck::cast_slice(&share).to_vec())
}

/// The share files of alice, bob and carol.
pub fn share_files(generation: u8) -> [Vec<u8>; 3] {
    share_files_for(ProtocolName::SecureNn, generation)
}

pub fn share_files_for(protocol: ProtocolName, generation: u8) -> [Vec<u8>; 3] {
    share_files_of(PROGRAM, protocol.as_str(), generation)
}

/// A value of a weight by the names of its parts: m, la, lb.
type Parts = HashMap<&'static str, Vec<u64>>;

/// The share files of a program with the test model's weights.
pub fn share_files_of(program: &str, protocol: &str, generation: u8) -> [Vec<u8>; 3] {
    let fixed = |v: f64, bits: i32| (v * f64::powi(2.0, bits)).round() as i64 as u64;
    let weights: Vec<u64> = WEIGHTS.iter().flatten().map(|w| fixed(*w, 16)).collect();
    let bias: Vec<u64> = BIAS.iter().map(|b| fixed(*b, 32)).collect();
    let tensors = [(1, vec![3, 2], weights), (3, vec![2], bias)];
    files(program, protocol, generation, tensors.map(|(i, shape, w)| (i, shape, split(&w))).into())
}

/// The share files of a program whose only weight is zero, and value 1.
pub fn share_files_of_zeros(program: &str, shape: &[usize]) -> [Vec<u8>; 3] {
    let zeros = vec![0; shape.iter().product()];
    files(program, "ASTRA", 1, vec![(1, shape.to_vec(), split(&zeros))])
}

fn split(w: &[u64]) -> Parts {
    let (la, lb) = (random(w.len()), random(w.len()));
    let masked = w.iter().zip(&la).zip(&lb).map(|((w, a), b)| w.wrapping_add(*a).wrapping_add(*b));
    HashMap::from([("m", masked.collect()), ("la", la), ("lb", lb)])
}

/// `tensors`: value, shape and parts of each weight.
fn files(
    program: &str,
    protocol: &str,
    generation: u8,
    tensors: Vec<(usize, Vec<usize>, Parts)>,
) -> [Vec<u8>; 3] {
    [("alice", ["m", "la"]), ("bob", ["m", "lb"]), ("carol", ["la", "lb"])].map(|(role, parts)| {
        let metadata = [
            ("format", "securemodel-shares/1".to_owned()),
            ("role", role.to_owned()),
            ("protocol", protocol.to_owned()),
            ("fraction_bits", "16".to_owned()),
            ("generation", hex::encode([generation; 16])),
            ("digest", hex::encode(Sha256::digest(program))),
            ("program", program.to_owned()),
        ];
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let views = tensors.iter().flat_map(|(i, shape, values)| {
            parts.map(|part| {
                let bytes: &[u8] = bytemuck::cast_slice(&values[part]);
                (
                    format!("{i}.{part}"),
                    TensorView::new(Dtype::U64, shape.clone(), bytes).expect("a tensor"),
                )
            })
        });
        serialize(views, Some(metadata)).expect("a file")
    })
}
