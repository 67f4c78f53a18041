//! The definitions that Python and Rust share (docs/program.md): both sides read tests/contract/vectors. The Python half is tests/contract/test_vectors.py.

use std::path::PathBuf;

use securemodel_player::program::Program;
use securemodel_player::role::Role;
use securemodel_player::shares::Shares;

fn vector(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/contract/vectors").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn the_program_that_python_wrote_is_accepted() {
    let program = Program::parse(&vector("program.json")).expect("a valid program");
    assert_eq!((program.input_shape(), program.output_shape(), program.input_bound()), (&[5, 5, 1][..], &[3][..], 65536));
}

#[test]
fn the_share_files_that_python_wrote_are_accepted_for_their_roles() {
    let expected: serde_json::Value = serde_json::from_slice(&vector("expected.json")).expect("JSON");
    for role in Role::ALL {
        let shares = Shares::parse(&vector(&format!("{role}.safetensors"))).unwrap_or_else(|e| panic!("{role}: {e}"));
        assert_eq!(shares.role, role);
        assert_eq!(hex::encode(shares.digest), expected["digest"]);
        assert_eq!(hex::encode(shares.generation), expected["generation"]);
    }
}

#[test]
fn a_share_file_that_claims_another_role_is_refused() {
    let mut file = vector("alice.safetensors");
    let at = file.windows(14).position(|w| w == br#""role":"alice""#).expect("the role in the metadata");
    file[at..at + 14].copy_from_slice(br#""role":"carol""#);
    assert!(Shares::parse(&file).is_err());
}
