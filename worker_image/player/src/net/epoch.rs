//! What the three links of a trio have in common: the epoch id, key confirmation, and the ratchet that batch keys come from (docs/wire.md).

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::mpc::BatchKeys;
use crate::role::Role;

pub type LinkId = [u8; 16];
pub type EpochId = [u8; 16];

/// The secret of one link, from its TLS exporter.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct LinkSecret(pub [u8; 32]);

fn expand<const N: usize>(salt: Option<&[u8]>, secret: &[u8], info: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    // N is at most 255 hash lengths, the only way in which this can fail
    Hkdf::<Sha256>::new(salt, secret).expand_multi_info(info, &mut out).unwrap_or_else(|_| unreachable!("a short output"));
    out
}

impl LinkSecret {
    pub fn id(&self) -> LinkId {
        expand(None, &self.0, &[b"id"])
    }

    /// What `sender` proves its keys with.
    pub fn confirmation(&self, epoch: &EpochId, sender: Role) -> [u8; 32] {
        self.mac(epoch, sender).finalize().into_bytes().into()
    }

    /// Whether `sender` has this link's secret and agrees on the epoch; constant time.
    pub fn confirms(&self, epoch: &EpochId, sender: Role, confirmation: &[u8]) -> bool {
        self.mac(epoch, sender).verify_slice(confirmation).is_ok()
    }

    fn mac(&self, epoch: &EpochId, sender: Role) -> Hmac<Sha256> {
        let mut key: [u8; 32] = expand(Some(epoch), &self.0, &[b"confirm"]);
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&key).unwrap_or_else(|_| unreachable!("HMAC takes any key length"));
        key.zeroize();
        mac.update(sender.as_str().as_bytes());
        mac
    }
}

/// The epoch of three links.
pub fn epoch_id(ab: &LinkId, ac: &LinkId, bc: &LinkId) -> EpochId {
    let digest: [u8; 32] = Sha256::new().chain_update(ab).chain_update(ac).chain_update(bc).finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id
}

/// This player's epoch id, from its own two links and the link between its peers.
pub fn epoch_id_seen_by(role: Role, links: [&LinkId; 2], third: &LinkId) -> EpochId {
    match role {
        Role::Alice => epoch_id(links[0], links[1], third),
        Role::Bob => epoch_id(links[0], third, links[1]),
        Role::Carol => epoch_id(third, links[0], links[1]),
    }
}

/// The keys of an epoch, batch after batch. Taking a number spends it; an earlier one cannot be had again.
pub struct KeyChain {
    role: Role,
    next: u64,
    /// in the order of `role.peers()`
    chains: [Chain; 2],
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Chain([u8; 32]);

impl KeyChain {
    /// `secrets` in the order of `role.peers()`.
    pub fn new(role: Role, epoch: &EpochId, secrets: [&LinkSecret; 2]) -> KeyChain {
        KeyChain { role, next: 0, chains: secrets.map(|s| Chain(expand(Some(epoch), &s.0, &[b"chain"]))) }
    }

    /// The number that the next batch has.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The keys of batch `next()`; spends it.
    pub fn take(&mut self, digest: &[u8; 32], generation: &[u8; 16]) -> BatchKeys {
        let number = self.next.to_le_bytes();
        let keys = self.chains.each_mut().map(|chain| {
            let key: [u8; 16] = expand(None, &chain.0, &[b"batch", &number, digest, generation]);
            let following = expand(None, &chain.0, &[b"next"]);
            chain.zeroize();
            chain.0 = following;
            key
        });
        self.next += 1;
        match self.role {
            Role::Alice => BatchKeys { ab: Some(keys[0]), ac: Some(keys[1]), bc: None },
            Role::Bob => BatchKeys { ab: Some(keys[0]), ac: None, bc: Some(keys[1]) },
            Role::Carol => BatchKeys { ab: None, ac: Some(keys[0]), bc: Some(keys[1]) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> [LinkSecret; 3] {
        [1, 2, 3].map(|b| LinkSecret([b; 32])) // ab, ac, bc
    }

    #[test]
    fn all_three_compute_the_same_epoch() {
        let [ab, ac, bc] = secrets().map(|s| s.id());
        let id = epoch_id(&ab, &ac, &bc);
        assert_eq!(id, epoch_id_seen_by(Role::Alice, [&ab, &ac], &bc));
        assert_eq!(id, epoch_id_seen_by(Role::Bob, [&ab, &bc], &ac));
        assert_eq!(id, epoch_id_seen_by(Role::Carol, [&ac, &bc], &ab));
    }

    #[test]
    fn both_ends_of_a_link_have_the_same_keys_and_never_the_same_twice() {
        let [ab, ac, bc] = secrets();
        let epoch = [9; 16];
        let mut chains = [
            KeyChain::new(Role::Alice, &epoch, [&ab, &ac]),
            KeyChain::new(Role::Bob, &epoch, [&ab, &bc]),
            KeyChain::new(Role::Carol, &epoch, [&ac, &bc]),
        ];
        let mut seen = std::collections::HashSet::new();
        for batch in 0..50 {
            assert!(chains.iter().all(|c| c.next() == batch));
            let [a, b, c] = chains.each_mut().map(|chain| chain.take(&[7; 32], &[8; 16]));
            assert_eq!((a.ab, a.ac, b.bc), (b.ab, c.ac, c.bc));
            assert!([a.ab, a.ac, b.bc].into_iter().all(|key| seen.insert(key.expect("held"))), "a key repeats");
            assert_eq!((a.bc, b.ac, c.ab), (None, None, None));
        }
    }

    #[test]
    fn keys_depend_on_epoch_digest_and_generation() {
        let [ab, ac, _] = secrets();
        let key =
            |epoch: u8, digest: u8, generation: u8| KeyChain::new(Role::Alice, &[epoch; 16], [&ab, &ac]).take(&[digest; 32], &[generation; 16]).ab;
        let all = [key(1, 1, 1), key(2, 1, 1), key(1, 2, 1), key(1, 1, 2)];
        assert!((1..4).all(|i| all[..i].iter().all(|k| *k != all[i])));
    }

    #[test]
    fn a_confirmation_is_of_one_sender_and_epoch() {
        let [ab, ac, _] = secrets();
        let tag = ab.confirmation(&[1; 16], Role::Bob);
        assert!(ab.confirms(&[1; 16], Role::Bob, &tag));
        assert!(!ab.confirms(&[2; 16], Role::Bob, &tag) && !ab.confirms(&[1; 16], Role::Alice, &tag) && !ac.confirms(&[1; 16], Role::Bob, &tag));
    }
}
