//! What Python and Rust have in common stands in contract/, and both test themselves against it;
//! here the vectors and the protocols. The Python half is tests/contract/.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::ops::pooling::MaxPool;
use crate::program::instruction::Instruction;
use crate::program::Program;
use crate::protocol::ProtocolName;
use crate::role::Role;
use crate::share_file::Shares;

/// The folders of contract/vectors, and the protocol of the share files in each.
const CASES: [(&str, ProtocolName); 2] =
    [(".", ProtocolName::Astra), ("max_pool", ProtocolName::SecureNn)];

/// A path in contract/.
pub(super) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../contract").join(name)
}

pub(super) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub(super) fn json(path: &Path) -> Value {
    serde_json::from_slice(&read(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn vector(case: &str, name: &str) -> Vec<u8> {
    read(&path("vectors").join(case).join(name))
}

#[test]
fn the_protocols_are_those_of_the_contract() {
    let listed = &json(&path("protocols.json"))["protocols"];
    let listed: HashSet<_> = listed.as_array().expect("a list").iter().cloned().collect();
    assert_eq!(listed, ProtocolName::ALL.map(|p| Value::from(p.as_str())).into());
}

#[test]
fn the_programs_that_python_wrote_are_accepted() {
    let program = Program::parse(&vector(".", "program.json")).expect("a valid program");
    assert_eq!(
        (program.input_shape(), program.output_shape(), program.input_bound()),
        (&[5, 5, 1][..], &[3][..], 65536)
    );
    let program = Program::parse(&vector("max_pool", "program.json")).expect("a valid program");
    assert_eq!(
        (program.input_shape(), program.output_shape(), program.input_bound()),
        (&[6, 5, 1][..], &[3][..], 65536)
    );
    let pools: Vec<_> =
        program.instructions.iter().filter(|i| matches!(i, Instruction::MaxPool(_))).collect();
    let pool = Instruction::MaxPool(MaxPool {
        shape: vec![2, 2, 2],
        r#in: [5],
        window: [2, 1],
        stride: [2, 2],
    });
    assert_eq!(pools, [&pool]);
}

#[test]
fn the_share_files_that_python_wrote_are_accepted_for_their_roles() {
    for (case, protocol) in CASES {
        let expected = json(&path("vectors").join(case).join("expected.json"));
        for role in Role::ALL {
            let shares = Shares::parse(&vector(case, &format!("{role}.safetensors")))
                .unwrap_or_else(|e| panic!("{case}, {role}: {e}"));
            assert_eq!((shares.role, shares.protocol), (role, protocol));
            assert_eq!(hex::encode(shares.digest), expected["digest"]);
            assert_eq!(hex::encode(shares.generation), expected["generation"]);
            assert_eq!(shares.protocol.as_str(), expected["protocol"]);
        }
    }
}

/// alice's file of a case with `from` replaced by `to`, which is as long.
fn altered(case: &str, from: &str, to: &str) -> Result<Shares, String> {
    assert_eq!(from.len(), to.len());
    let mut file = vector(case, "alice.safetensors");
    let at = file.windows(from.len()).position(|w| w == from.as_bytes()).expect("in the metadata");
    file[at..at + to.len()].copy_from_slice(to.as_bytes());
    Shares::parse(&file).map_err(|e| e.to_string())
}

#[test]
fn a_share_file_that_claims_another_role_is_refused() {
    assert!(altered(".", r#""role":"alice""#, r#""role":"carol""#).is_err());
}

#[test]
fn a_share_file_for_a_protocol_that_is_not_known_is_refused() {
    for (case, from, to) in
        [(".", "ASTRA", "astra"), (".", "ASTRA", "ABY3 "), ("max_pool", "SecureNN", "SecureNn")]
    {
        let why =
            altered(case, &format!("\"protocol\":\"{from}\""), &format!("\"protocol\":\"{to}\""))
                .err()
                .expect("refused");
        assert!(
            why.contains("protocol") && why.contains(to) && why.contains("ASTRA or SecureNN"),
            "{why}"
        );
    }
}
