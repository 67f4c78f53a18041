//! What the three links of a trio have in common: the epoch id, key confirmation, and the ratchet
//! that batch keys come from (docs/wire.md).

use std::collections::BTreeMap;

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use securemodel_mpc::role::Role;
use securemodel_mpc::BatchKeys;

pub type LinkId = [u8; 16];
pub type EpochId = [u8; 16];

/// The secret of one link, from its TLS exporter.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct LinkSecret(pub [u8; 32]);

fn expand<const N: usize>(salt: Option<&[u8]>, secret: &[u8], info: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    // N is at most 255 hash lengths, the only way in which this can fail
    Hkdf::<Sha256>::new(salt, secret)
        .expand_multi_info(info, &mut out)
        .unwrap_or_else(|_| unreachable!("a short output"));
    out
}

impl LinkSecret {
    pub fn id(&self) -> LinkId {
        expand(None, &self.0, &[b"id"])
    }

    /// `sender`'s proof that it has this link's secret and agrees on the epoch.
    pub fn confirmation(&self, epoch: &EpochId, sender: Role) -> [u8; 32] {
        self.mac(epoch, sender).finalize().into_bytes().into()
    }

    /// Whether `sender` has this link's secret and agrees on the epoch; constant time.
    pub fn confirms(&self, epoch: &EpochId, sender: Role, confirmation: &[u8]) -> bool {
        self.mac(epoch, sender).verify_slice(confirmation).is_ok()
    }

    fn mac(&self, epoch: &EpochId, sender: Role) -> Hmac<Sha256> {
        let mut key: [u8; 32] = expand(Some(epoch), &self.0, &[b"confirm"]);
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&key)
            .unwrap_or_else(|_| unreachable!("HMAC takes any key length"));
        key.zeroize();
        mac.update(sender.as_str().as_bytes());
        mac
    }
}

/// The epoch of three links.
pub fn epoch_id(ab: &LinkId, ac: &LinkId, bc: &LinkId) -> EpochId {
    let digest: [u8; 32] =
        Sha256::new().chain_update(ab).chain_update(ac).chain_update(bc).finalize().into();
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

/// The keys of an epoch, one batch after another. Taking a batch's keys spends its number, and they
/// cannot be derived again.
pub struct KeyChain {
    role: Role,
    next: u64,
    /// In the order of `role.peers()`.
    chains: [Chain; 2],
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Chain([u8; 32]);

impl Chain {
    /// Overwrites this value with the next one, so that it cannot be recovered.
    fn ratchet(&mut self) {
        let following: Zeroizing<[u8; 32]> = Zeroizing::new(expand(None, &self.0, &[b"next"]));
        self.0.copy_from_slice(&*following);
    }
}

impl KeyChain {
    /// `secrets` in the order of `role.peers()`.
    pub fn new(role: Role, epoch: &EpochId, secrets: [&LinkSecret; 2]) -> KeyChain {
        KeyChain {
            role,
            next: 0,
            chains: secrets.map(|s| Chain(expand(Some(epoch), &s.0, &[b"chain"]))),
        }
    }

    /// The number of the next batch.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The keys of batch `next()`; spends that number. They are bound to the payload of its
    /// ANNOUNCE frame, so players who were told different lists of requests share no key and
    /// compute noise.
    pub fn take(
        &mut self,
        digest: &[u8; 32],
        generation: &[u8; 16],
        announcement: &[u8],
    ) -> BatchKeys {
        let number = self.next.to_le_bytes();
        let announced = Sha256::digest(announcement);

        let keys = self.chains.each_mut().map(|chain| {
            let info: [&[u8]; 5] = [b"batch", &number, digest, generation, &announced];
            let key: [u8; 16] = expand(None, &chain.0, &info);
            if !frozen() {
                chain.ratchet();
            }
            key
        });

        self.next += u64::from(!frozen());
        match self.role {
            Role::Alice => BatchKeys { ab: Some(keys[0]), ac: Some(keys[1]), bc: None },
            Role::Bob => BatchKeys { ab: Some(keys[0]), ac: None, bc: Some(keys[1]) },
            Role::Carol => BatchKeys { ab: None, ac: Some(keys[0]), bc: Some(keys[1]) },
        }
    }
}

/// The keys of bob's requests in one epoch: one per request, shared by bob and carol. bob takes
/// them in order; carol asks for the numbers that alice announces, which may come out of order or
/// with gaps.
pub struct RequestKeys {
    next: u64,
    chain: Chain,
    /// Keys of the latest numbers that were passed over.
    skipped: BTreeMap<u64, RequestKey>,
}

pub type RequestKey = Zeroizing<[u8; 16]>;

/// As many requests as bob may have sent and alice not yet announced.
pub const MAX_SKIPPED: usize = 1 << 12;
/// Further than bob gets between two announcements, and still reached within a second.
const MAX_JUMP: u64 = 1 << 20;

impl RequestKeys {
    /// `secret`: of the link between bob and carol.
    pub fn new(epoch: &EpochId, secret: &LinkSecret) -> RequestKeys {
        RequestKeys {
            next: 0,
            chain: Chain(expand(Some(epoch), &secret.0, &[b"requests"])),
            skipped: BTreeMap::new(),
        }
    }

    /// The next number and its key; spends it.
    pub fn take(&mut self, digest: &[u8; 32], generation: &[u8; 16]) -> (u64, RequestKey) {
        let number = self.next;
        let key = Zeroizing::new(expand(
            None,
            &self.chain.0,
            &[b"request", &number.to_le_bytes(), digest, generation],
        ));
        self.pass();
        (number, key)
    }

    /// Refuses numbers that bob cannot have reached, before any time is spent on them.
    pub fn reach(&self, numbers: impl Iterator<Item = u64>) -> Result<(), String> {
        match numbers.max() {
            Some(number) if number.saturating_sub(self.next) > MAX_JUMP => {
                Err(format!("request number {number} where {} is next", self.next))
            }
            _ => Ok(()),
        }
    }

    /// The key of request `number`, which can be had only once.
    pub fn find(
        &mut self,
        number: u64,
        digest: &[u8; 32],
        generation: &[u8; 16],
    ) -> Result<RequestKey, String> {
        if number < self.next {
            return self.skipped.remove(&number).ok_or_else(|| {
                format!("request number {number} was announced before, or is too old")
            });
        }

        self.reach(std::iter::once(number))?;
        while self.next + (MAX_SKIPPED as u64) < number {
            self.pass();
        }

        loop {
            let (taken, key) = self.take(digest, generation);
            if taken == number {
                return Ok(key);
            }
            self.skipped.insert(taken, key);
            if self.skipped.len() > MAX_SKIPPED {
                self.skipped.pop_first();
            }
        }
    }

    fn pass(&mut self) {
        if !frozen() {
            self.chain.ratchet();
            self.next += 1;
        }
    }
}

/// Whether counters stand still, as only a test build can be asked to do.
pub fn frozen() -> bool {
    #[cfg(feature = "audit")]
    return securemodel_mpc::audit::frozen();
    #[cfg(not(feature = "audit"))]
    false
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
            let [a, b, c] = chains.each_mut().map(|chain| chain.take(&[7; 32], &[8; 16], b"list"));
            assert_eq!((a.ab, a.ac, b.bc), (b.ab, c.ac, c.bc));
            assert!(
                [a.ab, a.ac, b.bc].into_iter().all(|key| seen.insert(key.expect("held"))),
                "a key repeats"
            );
            assert_eq!((a.bc, b.ac, c.ab), (None, None, None));
        }
    }

    #[test]
    fn keys_depend_on_epoch_digest_generation_and_announcement() {
        let [ab, ac, _] = secrets();
        let key = |epoch: u8, digest: u8, generation: u8, announcement: &[u8]| {
            let mut chain = KeyChain::new(Role::Alice, &[epoch; 16], [&ab, &ac]);
            chain.take(&[digest; 32], &[generation; 16], announcement).ab
        };
        let all = [
            key(1, 1, 1, b"1"),
            key(2, 1, 1, b"1"),
            key(1, 2, 1, b"1"),
            key(1, 1, 2, b"1"),
            key(1, 1, 1, b"2"),
        ];
        assert!((1..all.len()).all(|i| !all[..i].contains(&all[i])));
    }

    #[test]
    fn a_confirmation_is_of_one_sender_and_epoch() {
        let [ab, ac, _] = secrets();
        let tag = ab.confirmation(&[1; 16], Role::Bob);
        assert!(ab.confirms(&[1; 16], Role::Bob, &tag));
        assert!(
            !ab.confirms(&[2; 16], Role::Bob, &tag)
                && !ab.confirms(&[1; 16], Role::Alice, &tag)
                && !ac.confirms(&[1; 16], Role::Bob, &tag)
        );
    }

    /// bob's and carol's end.
    fn request_keys() -> [RequestKeys; 2] {
        let [_, _, bc] = secrets();
        [(); 2].map(|()| RequestKeys::new(&[9; 16], &bc))
    }

    fn take(keys: &mut RequestKeys) -> RequestKey {
        keys.take(&[7; 32], &[8; 16]).1
    }

    fn find(keys: &mut RequestKeys, number: usize) -> Result<RequestKey, String> {
        keys.find(number as u64, &[7; 32], &[8; 16])
    }

    #[test]
    fn bob_and_carol_have_the_same_request_keys_in_any_order_and_each_once() {
        let [mut bob, mut carol] = request_keys();
        let keys: Vec<RequestKey> = (0..10).map(|_| take(&mut bob)).collect();
        for number in [3, 0, 9, 4] {
            assert_eq!(find(&mut carol, number), Ok(keys[number].clone()));
            assert!(find(&mut carol, number).expect_err("spent").contains("was announced before"));
        }
        assert!((1..10).all(|i| !keys[..i].contains(&keys[i])), "a key repeats");
    }

    #[test]
    fn an_announcement_cannot_make_carol_run_far_ahead() {
        let [_, carol] = request_keys();
        assert!(carol.reach([0, MAX_JUMP].into_iter()).is_ok());
        assert!(
            carol.reach([MAX_JUMP, MAX_JUMP + 1].into_iter()).is_err(),
            "a number at a time is near, the list goes on"
        );
    }

    #[test]
    fn request_keys_depend_on_epoch_link_digest_and_generation_and_are_no_batch_keys() {
        let [ab, ac, bc] = secrets();
        let key = |epoch: u8, link: &LinkSecret, digest: u8, generation: u8| {
            *RequestKeys::new(&[epoch; 16], link).take(&[digest; 32], &[generation; 16]).1
        };
        let batch = KeyChain::new(Role::Alice, &[1; 16], [&ab, &ac])
            .take(&[1; 32], &[1; 16], b"")
            .ac
            .expect("held");
        let all = [
            key(1, &bc, 1, 1),
            key(2, &bc, 1, 1),
            key(1, &ac, 1, 1),
            key(1, &bc, 2, 1),
            key(1, &bc, 1, 2),
            batch,
        ];
        assert!((1..all.len()).all(|i| !all[..i].contains(&all[i])));
    }

    #[test]
    fn keys_that_were_passed_over_are_kept_in_bounds() {
        let [mut bob, mut carol] = request_keys();
        let keys: Vec<RequestKey> = (0..=3 * MAX_SKIPPED).map(|_| take(&mut bob)).collect();
        for number in [MAX_SKIPPED / 2, 3 * MAX_SKIPPED] {
            assert_eq!(find(&mut carol, number), Ok(keys[number].clone()));
            assert!(carol.skipped.len() <= MAX_SKIPPED);
        }
        assert!(find(&mut carol, 0).is_err(), "the oldest went first");
        assert_eq!(find(&mut carol, 2 * MAX_SKIPPED), Ok(keys[2 * MAX_SKIPPED].clone()));
        assert!(
            find(&mut carol, 1 << 40).expect_err("refused").contains("where 12289 is next"),
            "a number far ahead costs nothing"
        );
    }

    #[test]
    fn a_chain_value_is_erased_when_the_next_is_made_and_at_the_end() {
        fn erased_when_dropped<T: ZeroizeOnDrop>(_: &T) {}
        let [mut bob, _] = request_keys();
        let (before, place) = (bob.chain.0, bob.chain.0.as_ptr());
        let key = take(&mut bob);
        assert_eq!(bob.chain.0.as_ptr(), place, "in its place");
        assert!(
            bob.chain.0.iter().zip(before).filter(|(now, before)| **now == *before).count() < 8
        );
        erased_when_dropped(&bob.chain);
        erased_when_dropped(&key);
    }
}
