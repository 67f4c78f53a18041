//! Requests that wait for a batch. Each is one client's share of some rows; the other data player
//! has its own share under the same id.
//!
//! bob masks his share and sends it to alice as soon as he has it (`masking`), so alice has both
//! parts of a request before she announces it. From then on the batch no longer needs bob's client:
//! if that client has left, the batch still runs, and bob's output is dropped.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use securemodel_link::announce::{Entry, RequestId};
use securemodel_link::epoch::EpochId;
use securemodel_link::lock::locked;
use securemodel_link::waker::Waker;
use securemodel_mpc::role::Role;
use tokio::sync::oneshot;

use super::limits::{COUNTERPART, MAX_BYTES, MAX_WAITING};
use super::outbox::Outbox;
use super::pairing::Pairing;
use super::queue::ClientId;
use super::refusal::{Code, Refusal};
use super::request::{Inference, MaskedShare, Outcome, Request, Sent};
use super::seen::Seen;

/// What alice does next.
pub enum Next {
    /// Both parts of each request.
    Batch(Vec<(Request, MaskedShare)>),
    /// Nothing before this time, unless woken.
    Wait(Option<Instant>),
}

/// A request that is in no batch yet, and the connection that it came over.
struct Waiting {
    request: Request,
    client: ClientId,
}

struct State {
    /// Requests live and die with the epoch that accepted them.
    epoch: Option<EpochId>,
    waiting: HashMap<RequestId, Waiting>,
    /// Of the shares that wait.
    bytes: usize,
    pairing: Pairing,
    outbox: Outbox,
    seen: Seen,
    /// How long a batch of the present program may take.
    batch: Duration,
    /// Since when no batch runs here; `None` while one does.
    idle: Option<Instant>,
}

impl State {
    /// alice: both parts of a request have come. If they fit it can be served, else it alone fails.
    fn complete(&mut self, id: RequestId, masked: MaskedShare, now: Instant) {
        let Some(Waiting { request, client }) = self.waiting.get(&id) else { return };
        if (request.rows, request.share.len()) == (masked.rows, masked.share.len()) {
            return self.pairing.pair(*client, id, masked, now);
        }
        let (own, theirs) = (request.rows, masked.rows);
        let why = format!("the two shares of this request have {own} and {theirs} rows");
        if let Some(request) = self.remove(&id) {
            let _ = request.reply.send(Err(Refusal::new(Code::WrongShape, why)));
        }
    }

    /// Removes a request from everything except what bob has sent.
    fn remove(&mut self, id: &RequestId) -> Option<Request> {
        let Waiting { request, .. } = self.waiting.remove(id)?;
        self.bytes -= 8 * request.share.len();
        self.pairing.remove(id);
        self.outbox.withdraw(id);
        Some(request)
    }

    /// Whether there is no room for a share of so many bytes: too much is waiting or, at bob, may
    /// still be announced.
    fn is_full(&self, more: usize) -> bool {
        let bytes = self.bytes + self.outbox.bytes() + more;
        self.waiting.len() >= MAX_WAITING || self.outbox.is_full() || bytes > MAX_BYTES
    }
}

pub struct Requests {
    role: Role,
    state: Mutex<State>,
    changed: Condvar,
    /// alice: called when a batch may have become possible.
    pub arrival: Waker,
}

impl Requests {
    pub fn new(role: Role, arrival: Waker) -> Requests {
        let state = State {
            epoch: None,
            waiting: HashMap::new(),
            bytes: 0,
            pairing: Pairing::new(),
            outbox: Outbox::default(),
            seen: Seen::default(),
            batch: COUNTERPART,
            idle: Some(Instant::now()),
        };
        Requests { role, state: Mutex::new(state), changed: Condvar::new(), arrival }
    }

    /// Other shares are served from the next epoch on, whose batches may take so long.
    pub fn expect(&self, batch: Duration) {
        locked(&self.state).batch = batch;
    }

    /// Requests are taken for this epoch.
    pub fn open(&self, epoch: EpochId) {
        locked(&self.state).epoch = Some(epoch);
    }

    /// The epoch is over: all requests that wait fail and are told why, so that their clients try
    /// again with fresh shares.
    pub fn close(&self, why: &Refusal) {
        let mut state = locked(&self.state);
        (state.epoch, state.bytes) = (None, 0);
        for (_, Waiting { request, .. }) in state.waiting.drain() {
            let _ = request.reply.send(Err(why.clone()));
        }
        state.pairing.clear();
        state.outbox.clear();
    }

    /// Queues a request that was checked against what this epoch serves; the answer comes through
    /// the receiver.
    pub fn add(
        &self,
        epoch: &EpochId,
        client: ClientId,
        inference: Inference,
    ) -> Result<oneshot::Receiver<Outcome>, Refusal> {
        let Inference { id, rows, share } = inference;
        let (now, bytes) = (Instant::now(), 8 * share.len());
        let mut state = locked(&self.state);
        if state.epoch.as_ref() != Some(epoch) {
            let why = "the players linked anew while this request arrived; \
                       send it again with fresh shares";
            return Err(Refusal::new(Code::EpochEnded, why));
        }
        state.pairing.tidy(now);
        let batch = state.batch;
        state.outbox.tidy(now, batch);
        if state.is_full(bytes) {
            let (count, megabytes) = (state.waiting.len(), state.bytes >> 20);
            let why = format!(
                "{count} requests are waiting already, with {megabytes} MiB; try again in a second"
            );
            return Err(Refusal::new(Code::Overloaded, why));
        }
        if !state.seen.insert(id) {
            let why = format!("request id {} was used before; draw a fresh one", hex::encode(id));
            return Err(Refusal::new(Code::DuplicateId, why));
        }

        let (reply, answer) = oneshot::channel();
        state.bytes += bytes;
        state.waiting.insert(id, Waiting { request: Request { id, rows, share, reply }, client });
        if self.role == Role::Bob {
            state.outbox.push(id);
            self.changed.notify_all();
        } else if let Some(masked) = state.pairing.take_held(&id) {
            state.complete(id, masked, now);
            self.arrival.wake();
        }
        Ok(answer)
    }

    /// Takes back a request unless a batch has it, which is `None`. Otherwise whether its
    /// counterpart is here, as far as this player knows.
    pub fn withdraw(&self, id: &RequestId) -> Option<bool> {
        let mut state = locked(&self.state);
        let paired = state.pairing.is_paired(id);
        state.remove(id).map(|_| paired)
    }

    /// A batch begins to run here, or has ended.
    pub fn running(&self, runs: bool) {
        locked(&self.state).idle = (!runs).then(Instant::now);
    }

    /// Whether a batch may still take a request that has waited for COUNTERPART. alice knows that
    /// if she has both shares; bob does not, but sees whether batches run that it may wait for.
    pub fn has_hope(&self, id: &RequestId) -> bool {
        let state = locked(&self.state);
        match self.role {
            Role::Alice => state.pairing.is_paired(id),
            _ => state.idle.is_none_or(|since| since.elapsed() < COUNTERPART),
        }
    }

    pub fn count_waiting(&self) -> usize {
        locked(&self.state).waiting.len()
    }

    /// alice: bob's share of a request has come, under his mask.
    pub fn peer_sent(&self, id: RequestId, masked: MaskedShare) -> Result<(), String> {
        let now = Instant::now();
        let mut state = locked(&self.state);
        state.pairing.count(masked.number)?;

        let fresh = if state.pairing.is_paired(&id) {
            false
        } else if state.waiting.contains_key(&id) {
            state.complete(id, masked, now);
            self.arrival.wake();
            true
        } else {
            state.pairing.hold(now, id, masked)
        };
        fresh.then_some(()).ok_or_else(|| format!("a second share for request {}", hex::encode(id)))
    }

    /// bob: the shares that alice has yet to get; waits at most this long for any.
    pub fn take_untold(
        &self,
        epoch: &EpochId,
        wait: Duration,
    ) -> Vec<(RequestId, usize, Vec<u64>)> {
        let mut state = locked(&self.state);
        if state.outbox.is_empty() {
            let waited = self.changed.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.epoch.as_ref() != Some(epoch) {
            return vec![];
        }

        let State { outbox, waiting, bytes, .. } = &mut *state;
        let shares = outbox.take_untold().into_iter().filter_map(|id| {
            let request = &mut waiting.get_mut(&id)?.request;
            *bytes -= 8 * request.share.len();
            Some((id, request.rows, std::mem::take(&mut request.share)))
        });
        shares.collect()
    }

    /// bob: this goes to alice.
    pub fn sending(&self, epoch: &EpochId, id: RequestId, sent: Sent) {
        let mut state = locked(&self.state);
        if state.epoch.as_ref() == Some(epoch) {
            state.outbox.sending(Instant::now(), id, sent);
        }
    }

    /// alice: the next batch, at most `max_rows` rows in total, or when to look again.
    pub fn next_batch(&self, epoch: &EpochId, max_rows: usize, delay: Duration) -> Next {
        let mut state = locked(&self.state);
        if state.epoch.as_ref() != Some(epoch) {
            return Next::Wait(None);
        }
        let due = state.pairing.due(max_rows, delay);
        if due.is_none_or(|due| due > Instant::now()) {
            return Next::Wait(due);
        }

        let pairs = state.pairing.take(max_rows).into_iter();
        Next::Batch(pairs.filter_map(|(id, masked)| Some((state.remove(&id)?, masked))).collect())
    }

    /// bob: what he sent to alice for an announced request, and the request itself if its client
    /// still waits.
    pub fn take(&self, epoch: &EpochId, entry: &Entry) -> Result<(Sent, Option<Request>), String> {
        let mut state = locked(&self.state);
        let current = state.epoch.as_ref() == Some(epoch);
        let sent = current.then(|| state.outbox.announced(entry)).flatten().ok_or_else(|| {
            let Entry { id, rows, number } = entry;
            let id = hex::encode(id);
            format!(
                "an announcement of request {id}, {rows} rows under number {number}, \
                 which does not wait"
            )
        })?;
        Ok((sent, state.remove(&entry.id)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::MAX_SENT;
    use super::*;

    const NOW: Duration = Duration::ZERO;
    const EPOCH: EpochId = [7; 16];
    const CLIENT: ClientId = 1;

    fn open(role: Role) -> Requests {
        let requests = Requests::new(role, Waker::new().expect("an eventfd"));
        requests.open(EPOCH);
        requests
    }

    fn id(n: usize) -> RequestId {
        (n as u128).to_le_bytes()
    }

    /// Why an epoch ends.
    fn over() -> Refusal {
        Refusal::new(Code::PeerStalled, "carol stalls")
    }

    /// A request of three elements a row.
    fn add(
        requests: &Requests,
        n: usize,
        rows: usize,
    ) -> Result<oneshot::Receiver<Outcome>, Refusal> {
        requests.add(&EPOCH, CLIENT, Inference { id: id(n), rows, share: vec![0; 3 * rows] })
    }

    fn masked(number: u64, rows: usize) -> MaskedShare {
        MaskedShare { number, rows, share: vec![0; 3 * rows] }
    }

    /// bob's shares of these requests, under numbers from 0.
    fn bob_sends(requests: &Requests, sent: &[(usize, usize)]) {
        for (number, (n, rows)) in sent.iter().enumerate() {
            requests.peer_sent(id(*n), masked(number as u64, *rows)).expect("taken");
        }
    }

    /// The ids of the next batch, as far as it is due.
    fn batch(requests: &Requests, max_rows: usize, delay: Duration) -> Vec<RequestId> {
        match requests.next_batch(&EPOCH, max_rows, delay) {
            Next::Batch(parts) => parts.into_iter().map(|(request, _)| request.id).collect(),
            Next::Wait(_) => vec![],
        }
    }

    fn code(mut answer: oneshot::Receiver<Outcome>) -> Option<Code> {
        answer.try_recv().expect("answered").err().map(|e| e.code)
    }

    #[test]
    fn a_batch_holds_only_requests_whose_two_shares_are_there() {
        let requests = open(Role::Alice);
        let _answers = [1, 2].map(|n| add(&requests, n, n).expect("queued"));
        assert!(batch(&requests, 10, NOW).is_empty());
        bob_sends(&requests, &[(2, 2), (3, 3)]);
        let _late = add(&requests, 3, 3).expect("queued");
        assert_eq!(batch(&requests, 10, NOW).len(), 2, "whoever came first");
        assert_eq!((requests.withdraw(&id(1)), requests.withdraw(&id(2))), (Some(false), None));
    }

    #[test]
    fn a_batch_waits_for_others_but_not_longer_than_its_delay() {
        let requests = open(Role::Alice);
        let _answer = add(&requests, 1, 1).expect("queued");
        let delay = Duration::from_millis(30);
        assert!(matches!(requests.next_batch(&EPOCH, 2, delay), Next::Wait(None)));
        bob_sends(&requests, &[(1, 1)]);
        let begin = Instant::now();
        let Next::Wait(Some(due)) = requests.next_batch(&EPOCH, 2, delay) else {
            panic!("too soon")
        };
        assert!(due <= begin + delay);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        assert_eq!(batch(&requests, 2, delay), [id(1)]);
    }

    #[test]
    fn a_full_batch_does_not_wait() {
        let requests = open(Role::Alice);
        let _answers = [1, 2].map(|n| add(&requests, n, 1).expect("queued"));
        bob_sends(&requests, &[(1, 1), (2, 1)]);
        assert!(batch(&requests, 3, Duration::from_secs(1)).is_empty());
        assert_eq!(batch(&requests, 2, Duration::from_secs(1)), [id(1), id(2)]);
    }

    #[test]
    fn an_id_serves_once_and_what_does_not_fit_together_fails_alone() {
        let requests = open(Role::Alice);
        let rows = add(&requests, 1, 1).expect("queued");
        assert_eq!(add(&requests, 1, 1).map_err(|e| e.code).err(), Some(Code::DuplicateId));
        let length = add(&requests, 2, 2).expect("queued");
        let _right = add(&requests, 3, 1).expect("queued");
        bob_sends(&requests, &[(1, 9)]);
        requests
            .peer_sent(id(2), MaskedShare { number: 1, rows: 2, share: vec![0; 5] })
            .expect("taken");
        requests.peer_sent(id(3), masked(2, 1)).expect("taken");
        requests.peer_sent(id(4), masked(3, 2)).expect("taken");
        let late = add(&requests, 4, 1).expect("queued");
        assert_eq!([rows, length, late].map(code), [Some(Code::WrongShape); 3]);
        assert_eq!(batch(&requests, 8, NOW), [id(3)]);
    }

    #[test]
    fn a_request_that_was_withdrawn_is_in_no_batch() {
        let requests = open(Role::Alice);
        let _answers = [1, 2].map(|n| add(&requests, n, 1).expect("queued"));
        bob_sends(&requests, &[(1, 1), (2, 1)]);
        assert_eq!(requests.withdraw(&id(1)), Some(true));
        assert_eq!(batch(&requests, 8, NOW), [id(2)]);
        assert_eq!((requests.count_waiting(), locked(&requests.state).bytes), (0, 0));
    }

    #[test]
    fn bobs_numbers_come_in_turn_and_a_request_has_one_share() {
        let requests = open(Role::Alice);
        let _answer = add(&requests, 1, 1).expect("queued");
        bob_sends(&requests, &[(1, 1), (2, 1)]);
        let refused = |n: usize, number: u64| {
            requests.peer_sent(id(n), masked(number, 1)).expect_err("refused")
        };
        assert_eq!(refused(3, 1), "a share under number 1 where 2 is next");
        assert_eq!(refused(3, 3), "a share under number 3 where 2 is next");
        assert!(refused(1, 2).contains("a second share for request"));
        let requests = open(Role::Alice);
        bob_sends(&requests, &[(2, 1)]);
        assert!(requests.peer_sent(id(2), masked(1, 1)).is_err());
        requests.close(&over());
        requests.open(EPOCH);
        bob_sends(&requests, &[(2, 1)]); // numbers begin again with the epoch
    }

    #[test]
    fn the_queue_is_bounded_by_requests() {
        for role in [Role::Alice, Role::Bob] {
            let requests = open(role);
            let mut answers: Vec<_> =
                (0..MAX_WAITING).map(|n| add(&requests, n, 1).expect("queued")).collect();
            let refused = add(&requests, MAX_WAITING, 1).map(drop).expect_err("refused");
            assert_eq!(
                (refused.code, refused.message.contains("512 requests are waiting")),
                (Code::Overloaded, true)
            );
            assert!(
                answers.iter_mut().all(|answer| answer.try_recv().is_err()),
                "those that wait go on waiting"
            );
            requests.withdraw(&id(0));
            assert!(add(&requests, MAX_WAITING, 1).is_ok(), "a refused id was not used");
        }
    }

    #[test]
    fn the_queue_is_bounded_by_bytes() {
        for role in [Role::Alice, Role::Bob] {
            let requests = open(role);
            let large = |n: usize| {
                requests.add(
                    &EPOCH,
                    CLIENT,
                    Inference { id: id(n), rows: 1, share: vec![0; MAX_BYTES / 16] },
                )
            };
            let _answers = [large(1).expect("queued"), large(2).expect("queued")];
            assert_eq!(add(&requests, 3, 1).map_err(|e| e.code).err(), Some(Code::Overloaded));
            requests.withdraw(&id(1));
            assert!(add(&requests, 3, 1).is_ok());
        }
    }

    #[test]
    fn a_request_dies_with_the_epoch_that_took_it_and_hears_why() {
        let requests = open(Role::Bob);
        let mut answer = add(&requests, 1, 1).expect("queued");
        requests.close(&over());
        let told =
            |told: Result<(), Refusal>| told.map_err(|e| (e.code, e.message)).expect_err("refused");
        let why = (Code::PeerStalled, "carol stalls".to_owned());
        assert_eq!(told(answer.try_recv().expect("answered").map(drop)), why);
        requests.open([8; 16]);
        assert_eq!(
            told(add(&requests, 2, 1).map(drop)).0,
            Code::EpochEnded,
            "it was on its way when its epoch ended"
        );
        assert!(requests.take_untold(&[8; 16], NOW).is_empty());
    }

    /// bob sends what was added, under numbers from 0.
    fn send(requests: &Requests) {
        for (number, (id, rows, share)) in requests.take_untold(&EPOCH, NOW).into_iter().enumerate()
        {
            let mask = vec![0; share.len()];
            requests.sending(
                &EPOCH,
                id,
                Sent { masked: MaskedShare { number: number as u64, rows, share }, mask },
            );
        }
    }

    #[test]
    fn bob_serves_what_he_sent_once_even_when_its_client_has_left() {
        let requests = open(Role::Bob);
        let _answers = [1, 2].map(|n| add(&requests, n, n).expect("queued"));
        send(&requests);
        assert!(requests.take_untold(&EPOCH, NOW).is_empty(), "told once");
        requests.withdraw(&id(2));
        let entry = |n: usize, rows: usize, number: u64| Entry { id: id(n), rows, number };
        let take = |entry: Entry| {
            requests
                .take(&EPOCH, &entry)
                .map(|(sent, request)| (sent.mask.len(), request.is_some()))
        };
        for wrong in [entry(1, 1, 1), entry(1, 2, 0), entry(3, 1, 0)] {
            assert!(take(wrong).expect_err("refused").contains("which does not wait"));
        }
        assert_eq!(take(entry(1, 1, 0)), Ok((3, true)));
        assert_eq!(take(entry(2, 2, 1)), Ok((6, false)));
        assert!(take(entry(1, 1, 0)).is_err(), "announced before");
    }

    #[test]
    fn what_bob_has_sent_for_clients_that_left_counts_too() {
        let requests = open(Role::Bob);
        for n in 0..MAX_SENT {
            let _left = add(&requests, n, 1).expect("queued");
            send(&requests);
            requests.withdraw(&id(n));
        }
        assert_eq!(add(&requests, MAX_SENT, 1).map_err(|e| e.code).err(), Some(Code::Overloaded));
        assert!(requests.take(&EPOCH, &Entry { id: id(0), rows: 1, number: 0 }).is_ok());
        assert!(add(&requests, MAX_SENT, 1).is_ok());
    }

    #[test]
    fn a_request_may_hope_for_a_batch_where_one_can_still_come() {
        let alice = open(Role::Alice);
        let _answers = [1, 2].map(|n| add(&alice, n, 1).expect("queued"));
        bob_sends(&alice, &[(1, 1)]);
        alice.running(true);
        assert_eq!([1, 2].map(|n| alice.has_hope(&id(n))), [true, false], "she has both shares");

        let bob = open(Role::Bob);
        bob.running(true);
        assert!(bob.has_hope(&id(1)), "a batch runs");
        bob.running(false);
        assert!(bob.has_hope(&id(1)), "one has just ended");
        locked(&bob.state).idle = Instant::now().checked_sub(COUNTERPART);
        assert!(!bob.has_hope(&id(1)), "nothing runs that it could wait for");
    }

    #[test]
    fn bob_keeps_what_he_sent_for_as_long_as_alice_may_announce_it() {
        let bob = open(Role::Bob);
        bob.expect(Duration::from_secs(60));
        let _left = add(&bob, 1, 1).expect("queued");
        send(&bob);
        bob.withdraw(&id(1));
        let (now, batch) = (Instant::now(), locked(&bob.state).batch);
        let kept_after = |seconds| {
            locked(&bob.state).outbox.tidy(now + Duration::from_secs(seconds), batch);
            locked(&bob.state).outbox.bytes() > 0
        };
        assert!(kept_after(129), "5 s for her share, 60 for room, 60 for the batch before");
        assert!(!kept_after(132));
    }

    #[test]
    fn what_alice_holds_for_bob_is_bounded() {
        let requests = open(Role::Alice);
        for n in 0..2 * MAX_SENT {
            requests.peer_sent(id(n), masked(n as u64, 1)).expect("taken");
        }
        assert_eq!(locked(&requests.state).pairing.count_held(), MAX_SENT);
    }
}
