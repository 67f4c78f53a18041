//! Requests that wait for a batch. Each is one client's share of some rows; the other data player has its own share under the same id.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::error::{ApiError, Code};
use crate::net::link::locked;

pub type RequestId = [u8; 16];

/// Requests that wait at once, and ids remembered as used.
const MAX_WAITING: usize = 128;
const MAX_SEEN: usize = 1 << 16;
/// How long bob's word that he holds a share is kept without alice's own coming.
const PEER_KEEPS: Duration = Duration::from_secs(10);

/// A finished request's output share.
pub struct Answer {
    pub output: Vec<u64>,
    pub epoch: [u8; 16],
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
    waiting: HashMap<RequestId, Request>,
    /// In order of arrival.
    order: VecDeque<RequestId>,
    /// alice: what bob holds.
    peer: HashMap<RequestId, (usize, Instant)>,
    /// bob: ids that alice has not been told of yet.
    untold: Vec<(RequestId, usize)>,
    seen: HashSet<RequestId>,
    seen_order: VecDeque<RequestId>,
}

#[derive(Default)]
pub struct Requests {
    state: Mutex<State>,
    changed: Condvar,
}

impl Requests {
    /// Queues a request; the answer comes through the receiver.
    pub fn add(&self, id: RequestId, rows: usize, share: Vec<u64>) -> Result<oneshot::Receiver<Reply>, ApiError> {
        let mut state = locked(&self.state);
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
        state.untold.push((id, rows));
        self.changed.notify_all();
        Ok(answer)
    }

    /// Takes a request back that no batch has; false if one has it.
    pub fn withdraw(&self, id: &RequestId) -> bool {
        let mut state = locked(&self.state);
        state.order.retain(|other| other != id);
        state.waiting.remove(id).is_some()
    }

    /// alice: bob holds his share of these.
    pub fn peer_holds(&self, ids: impl Iterator<Item = (RequestId, usize)>) {
        let mut state = locked(&self.state);
        let now = Instant::now();
        state.peer.retain(|_, (_, since)| now.duration_since(*since) < PEER_KEEPS);
        for (id, rows) in ids.take(MAX_SEEN) {
            state.peer.insert(id, (rows, now));
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

    /// alice: the next batch: requests whose two shares are there, oldest first, at most `max_rows` rows together (one request may be as large alone).
    pub fn take_batch(&self, max_rows: usize, wait: Duration) -> Vec<Request> {
        let mut state = locked(&self.state);
        if !state.order.iter().any(|id| state.peer.contains_key(id)) {
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let (mut batch, mut rows) = (Vec::new(), 0);
        let order = std::mem::take(&mut state.order);
        for id in order {
            let own = state.waiting.get(&id).map(|request| request.rows);
            let theirs = state.peer.get(&id).map(|(rows, _)| *rows);
            match (own, theirs) {
                (Some(own), Some(theirs)) if own != theirs => {
                    if let Some(request) = state.waiting.remove(&id) {
                        let why = format!("the two shares of this request have {own} and {theirs} rows");
                        let _ = request.reply.send(Err(ApiError::new(Code::WrongShape, why)));
                    }
                }
                (Some(own), Some(_)) if batch.is_empty() || rows + own <= max_rows => {
                    rows += own;
                    state.peer.remove(&id);
                    batch.extend(state.waiting.remove(&id));
                }
                _ => state.order.push_back(id),
            }
        }
        batch
    }

    /// bob: the announced request, if he still has it.
    pub fn take(&self, id: &RequestId) -> Option<Request> {
        let mut state = locked(&self.state);
        state.order.retain(|other| other != id);
        state.waiting.remove(id)
    }

    /// All that wait fail: the client tries again with fresh shares.
    pub fn fail_all(&self, error: &ApiError) {
        let mut state = locked(&self.state);
        for (_, request) in state.waiting.drain() {
            let _ = request.reply.send(Err(error.clone()));
        }
        state.order.clear();
        state.peer.clear();
        state.untold.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    fn id(n: u8) -> RequestId {
        [n; 16]
    }

    #[test]
    fn a_batch_holds_only_requests_whose_two_shares_are_there() {
        let requests = Requests::default();
        let _a = requests.add(id(1), 2, vec![]).expect("queued");
        let _b = requests.add(id(2), 3, vec![]).expect("queued");
        assert!(requests.take_batch(10, SOON).is_empty());
        requests.peer_holds([(id(2), 3)].into_iter());
        assert_eq!(requests.take_batch(10, SOON).iter().map(|r| r.id).collect::<Vec<_>>(), [id(2)]);
        assert!(requests.withdraw(&id(1)) && !requests.withdraw(&id(2)));
    }

    #[test]
    fn batches_are_bounded_and_in_order() {
        let requests = Requests::default();
        let _answers: Vec<_> = (1..=4).map(|n| requests.add(id(n), 4, vec![]).expect("queued")).collect();
        requests.peer_holds((1..=4).map(|n| (id(n), 4)));
        let ids = |batch: Vec<Request>| batch.iter().map(|r| r.id[0]).collect::<Vec<_>>();
        assert_eq!(ids(requests.take_batch(8, SOON)), [1, 2]);
        assert_eq!(ids(requests.take_batch(2, SOON)), [3]);
    }

    #[test]
    fn an_id_serves_once_and_unequal_shares_fail_alone() {
        let requests = Requests::default();
        let mut answer = requests.add(id(1), 1, vec![]).expect("queued");
        assert_eq!(requests.add(id(1), 1, vec![]).map_err(|e| e.code).err(), Some(Code::DuplicateId));
        let _other = requests.add(id(2), 1, vec![]).expect("queued");
        requests.peer_holds([(id(1), 9), (id(2), 1)].into_iter());
        assert_eq!(requests.take_batch(8, SOON).len(), 1);
        assert_eq!(answer.try_recv().expect("answered").err().map(|e| e.code), Some(Code::WrongShape));
    }

    #[test]
    fn the_queue_is_bounded() {
        let requests = Requests::default();
        let _answers: Vec<_> = (0..MAX_WAITING).map(|n| requests.add([n as u8; 16], 1, vec![]).expect("queued")).collect();
        assert_eq!(requests.add([255; 16], 1, vec![]).map_err(|e| e.code).err(), Some(Code::Overloaded));
    }
}
