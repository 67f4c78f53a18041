//! Keys by the formulas of docs/wire.md, as Python derives them too (tests/contract/test_keys.py).

use securemodel_link::epoch::{epoch_id, KeyChain, LinkSecret, RequestKeys};
use securemodel_mpc::role::Role;
use serde_json::Value;

const VECTORS: &str = include_str!("../../../../contract/vectors/keys.json");

/// The bytes that a value of the key vectors stands for.
fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    let bytes = hex::decode(value.as_str().expect("a string")).expect("hex digits");
    bytes.try_into().expect("as many bytes")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

#[test]
fn keys_are_derived_as_the_vectors_say() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
    let (digest, generation) = (bytes(&vectors["digest"]), bytes(&vectors["generation"]));
    let names = ["ab", "ac", "bc"];
    let secrets = names.map(|name| LinkSecret(bytes(&vectors["links"][name]["secret"])));
    let [ab, ac, bc] = secrets.each_ref().map(LinkSecret::id);
    let epoch = epoch_id(&ab, &ac, &bc);
    assert_eq!(epoch, bytes(&vectors["epoch"]));
    for (name, secret) in names.into_iter().zip(&secrets) {
        let link = &vectors["links"][name];
        assert_eq!(secret.id(), bytes(&link["id"]), "{name}");
        let confirmations = link["confirmations"].as_object().expect("by role");
        assert_eq!(confirmations.len(), 2);
        for (role, expected) in confirmations {
            let sender = role.parse().expect("a role");
            assert_eq!(secret.confirmation(&epoch, sender), bytes(expected), "{name}, {role}");
        }
    }

    let [ab, ac, bc] = &secrets;
    let mut alice = KeyChain::new(Role::Alice, &epoch, [ab, ac]);
    let mut bob = KeyChain::new(Role::Bob, &epoch, [ab, bc]);
    for (number, payload) in list(&vectors["announcements"]).iter().enumerate() {
        let payload = hex::decode(payload.as_str().expect("a string")).expect("hex digits");
        let (alice, bob) =
            (alice.take(&digest, &generation, &payload), bob.take(&digest, &generation, &payload));
        for (name, key) in names.into_iter().zip([alice.ab, alice.ac, bob.bc]) {
            let expected = bytes(&vectors["links"][name]["batch_keys"][number]);
            assert_eq!(key, Some(expected), "{name}, batch {number}");
        }
    }

    let mut requests = RequestKeys::new(&epoch, bc);
    for (number, expected) in list(&vectors["request_keys"]).iter().enumerate() {
        let (taken, key) = requests.take(&digest, &generation);
        assert_eq!((taken, *key), (number as u64, bytes(expected)));
    }
}
