//! Requests that wait for a batch. Each is one client's share of some rows; the other data player has its own share under the same id.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::error::{ApiError, Code};
use crate::loaded::Loaded;
use crate::net::epoch::EpochId;
use crate::net::link::locked;
use crate::role::Role;

pub type RequestId = [u8; 16];

/// Requests that wait at once, and ids remembered as used.
const MAX_WAITING: usize = 128;
const MAX_SEEN: usize = 1 << 16;
/// bob's announcements that alice remembers.
const MAX_HELD: usize = 1 << 12;
/// How long a share waits for its counterpart: at both, so that neither counts on a share that the other has given up.
pub const COUNTERPART: Duration = Duration::from_secs(5);

/// A finished request's output share.
pub struct Answer {
    pub output: Vec<u64>,
    pub loaded: Arc<Loaded>,
    pub epoch: EpochId,
    pub batch: u64,
    pub hops: u16,
}

pub type Reply = Result<Answer, ApiError>;

/// One request, taken out of the queue by the engine.
pub struct Request {
    pub id: RequestId,
    pub rows: usize,
    pub share: Vec<u64>,
    pub reply: oneshot::Sender<Reply>,
}

#[derive(Default)]
struct State {
    /// Requests live and die with the epoch that accepted them.
    epoch: Option<EpochId>,
    waiting: HashMap<RequestId, Request>,
    /// In order of arrival.
    order: VecDeque<RequestId>,
    /// alice: what bob holds, in order of his word.
    held: HashMap<RequestId, usize>,
    held_order: VecDeque<(Instant, RequestId)>,
    /// bob: ids that alice has not been told of yet.
    untold: Vec<(RequestId, usize)>,
    seen: HashSet<RequestId>,
    seen_order: VecDeque<RequestId>,
}

impl State {
    fn remove(&mut self, id: &RequestId) -> Option<Request> {
        self.order.retain(|other| other != id);
        self.untold.retain(|(other, _)| other != id);
        self.waiting.remove(id)
    }
}

pub struct Requests {
    role: Role,
    state: Mutex<State>,
    changed: Condvar,
}

impl Requests {
    pub fn new(role: Role) -> Requests {
        Requests { role, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Requests are taken for this epoch.
    pub fn open(&self, epoch: EpochId) {
        locked(&self.state).epoch = Some(epoch);
    }

    /// The epoch is over: all that wait fail, and the client tries again with fresh shares.
    pub fn close(&self) {
        let mut state = locked(&self.state);
        let State { epoch, waiting, order, held, held_order, untold, .. } = &mut *state;
        *epoch = None;
        for (_, request) in waiting.drain() {
            let _ = request.reply.send(Err(ended()));
        }
        order.clear();
        held.clear();
        held_order.clear();
        untold.clear();
    }

    /// Queues a request that was checked against what this epoch serves; the answer comes through the receiver.
    pub fn add(&self, epoch: &EpochId, id: RequestId, rows: usize, share: Vec<u64>) -> Result<oneshot::Receiver<Reply>, ApiError> {
        let mut state = locked(&self.state);
        if state.epoch.as_ref() != Some(epoch) {
            return Err(ended());
        }
        if state.waiting.len() >= MAX_WAITING {
            return Err(ApiError::new(Code::Overloaded, format!("{MAX_WAITING} requests are waiting already; try again in a second")));
        }
        if !state.seen.insert(id) {
            return Err(ApiError::new(Code::DuplicateId, format!("request id {} was used before; draw a fresh one", hex::encode(id))));
        }
        state.seen_order.push_back(id);
        if state.seen_order.len() > MAX_SEEN {
            if let Some(oldest) = state.seen_order.pop_front() {
                state.seen.remove(&oldest);
            }
        }
        let (reply, answer) = oneshot::channel();
        state.waiting.insert(id, Request { id, rows, share, reply });
        state.order.push_back(id);
        if self.role == Role::Bob {
            state.untold.push((id, rows));
        }
        self.changed.notify_all();
        Ok(answer)
    }

    /// Takes a request back that no batch has; false if one has it.
    pub fn withdraw(&self, id: &RequestId) -> bool {
        locked(&self.state).remove(id).is_some()
    }

    /// alice: bob holds his share of these.
    pub fn peer_holds(&self, ids: impl Iterator<Item = (RequestId, usize)>) {
        let mut state = locked(&self.state);
        let now = Instant::now();
        for (id, rows) in ids {
            state.held.insert(id, rows);
            state.held_order.push_back((now, id));
        }
        while state.held_order.front().is_some_and(|(since, _)| now.duration_since(*since) > COUNTERPART) || state.held_order.len() > MAX_HELD {
            if let Some((_, id)) = state.held_order.pop_front() {
                state.held.remove(&id);
            }
        }
        self.changed.notify_all();
    }

    /// bob: what alice has to be told, or nothing within this time.
    pub fn take_untold(&self, wait: Duration) -> Vec<(RequestId, usize)> {
        let mut state = locked(&self.state);
        if state.untold.is_empty() {
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut state.untold)
    }

    /// alice: the next batch: requests whose two shares are there, oldest first, at most `max_rows` rows together.
    pub fn take_batch(&self, epoch: &EpochId, max_rows: usize, wait: Duration) -> Vec<Request> {
        let mut state = locked(&self.state);
        if !state.order.iter().any(|id| state.held.contains_key(id)) {
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.epoch.as_ref() != Some(epoch) {
            return vec![];
        }
        let (mut batch, mut rows) = (Vec::new(), 0);
        let order = std::mem::take(&mut state.order);
        for id in order {
            let own = state.waiting.get(&id).map(|request| request.rows);
            let theirs = state.held.get(&id).copied();
            match (own, theirs) {
                (Some(own), Some(theirs)) if own != theirs => {
                    if let Some(request) = state.waiting.remove(&id) {
                        let why = format!("the two shares of this request have {own} and {theirs} rows");
                        let _ = request.reply.send(Err(ApiError::new(Code::WrongShape, why)));
                    }
                }
                (Some(own), Some(_)) if batch.is_empty() || rows + own <= max_rows => {
                    rows += own;
                    state.held.remove(&id);
                    batch.extend(state.waiting.remove(&id));
                }
                _ => state.order.push_back(id),
            }
        }
        batch
    }

    /// bob: the announced request, if he still has it.
    pub fn take(&self, epoch: &EpochId, id: &RequestId) -> Option<Request> {
        let mut state = locked(&self.state);
        if state.epoch.as_ref() == Some(epoch) {
            state.remove(id)
        } else {
            None
        }
    }
}

fn ended() -> ApiError {
    ApiError::new(Code::EpochEnded, "the players lost their links; send the request again with fresh shares")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    const EPOCH: EpochId = [7; 16];

    fn open(role: Role) -> Requests {
        let requests = Requests::new(role);
        requests.open(EPOCH);
        requests
    }

    fn id(n: u8) -> RequestId {
        [n; 16]
    }

    #[test]
    fn a_batch_holds_only_requests_whose_two_shares_are_there() {
        let requests = open(Role::Alice);
        let _a = requests.add(&EPOCH, id(1), 2, vec![]).expect("queued");
        let _b = requests.add(&EPOCH, id(2), 3, vec![]).expect("queued");
        assert!(requests.take_batch(&EPOCH, 10, SOON).is_empty());
        requests.peer_holds([(id(2), 3)].into_iter());
        assert_eq!(requests.take_batch(&EPOCH, 10, SOON).iter().map(|r| r.id).collect::<Vec<_>>(), [id(2)]);
        assert!(requests.withdraw(&id(1)) && !requests.withdraw(&id(2)));
    }

    #[test]
    fn batches_are_bounded_and_in_order() {
        let requests = open(Role::Alice);
        let _answers: Vec<_> = (1..=4).map(|n| requests.add(&EPOCH, id(n), 4, vec![]).expect("queued")).collect();
        requests.peer_holds((1..=4).map(|n| (id(n), 4)));
        let ids = |batch: Vec<Request>| batch.iter().map(|r| r.id[0]).collect::<Vec<_>>();
        assert_eq!(ids(requests.take_batch(&EPOCH, 8, SOON)), [1, 2]);
        assert_eq!(ids(requests.take_batch(&EPOCH, 2, SOON)), [3]);
    }

    #[test]
    fn an_id_serves_once_and_unequal_shares_fail_alone() {
        let requests = open(Role::Alice);
        let mut answer = requests.add(&EPOCH, id(1), 1, vec![]).expect("queued");
        assert_eq!(requests.add(&EPOCH, id(1), 1, vec![]).map_err(|e| e.code).err(), Some(Code::DuplicateId));
        let _other = requests.add(&EPOCH, id(2), 1, vec![]).expect("queued");
        requests.peer_holds([(id(1), 9), (id(2), 1)].into_iter());
        assert_eq!(requests.take_batch(&EPOCH, 8, SOON).len(), 1);
        assert_eq!(answer.try_recv().expect("answered").err().map(|e| e.code), Some(Code::WrongShape));
    }

    #[test]
    fn the_queue_is_bounded() {
        let requests = open(Role::Alice);
        let _answers: Vec<_> = (0..MAX_WAITING).map(|n| requests.add(&EPOCH, [n as u8; 16], 1, vec![]).expect("queued")).collect();
        assert_eq!(requests.add(&EPOCH, [255; 16], 1, vec![]).map_err(|e| e.code).err(), Some(Code::Overloaded));
    }

    #[test]
    fn a_request_dies_with_the_epoch_that_took_it() {
        let requests = open(Role::Bob);
        let mut answer = requests.add(&EPOCH, id(1), 1, vec![]).expect("queued");
        assert_eq!(requests.take_untold(SOON), [(id(1), 1)]);
        requests.close();
        assert_eq!(answer.try_recv().expect("answered").err().map(|e| e.code), Some(Code::EpochEnded));
        requests.open([8; 16]);
        assert_eq!(requests.add(&EPOCH, id(2), 1, vec![]).map_err(|e| e.code).err(), Some(Code::EpochEnded));
        let _next = requests.add(&[8; 16], id(3), 1, vec![]).expect("queued");
        assert!(requests.take(&EPOCH, &id(3)).is_none() && requests.take(&[8; 16], &id(3)).is_some());
    }

    #[test]
    fn what_bob_says_he_holds_is_bounded() {
        let requests = open(Role::Alice);
        for n in 0..2 * MAX_HELD as u128 {
            requests.peer_holds([(n.to_le_bytes(), 1)].into_iter());
        }
        assert_eq!(locked(&requests.state).held.len(), MAX_HELD);
    }
}
