//! Whose requests the next batch takes, and when. Pure: no clock, no lock.
//!
//! Clients take turns. A client is a connection, which the player can tell from others without
//! asking who it is. A batch goes round the clients in the order of their turns, takes the oldest
//! request of each, and goes round again as long as rows fit. A client whose request does not fit
//! keeps its turn: the next batch begins with it, so a large request is passed over once, not for
//! ever. A client that was served goes to the end. So whoever is at place p (from 0) is served
//! within p + 1 batches, whatever the others send meanwhile.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use securemodel_link::announce::RequestId;

/// Number of a connection.
pub type ClientId = u64;

/// Requests that can be served: both of their shares are there.
#[derive(Default)]
pub struct Queue {
    /// In the order of their turns; each has a request.
    clients: VecDeque<Client>,
    rows: usize,
}

struct Client {
    id: ClientId,
    requests: VecDeque<Queued>,
}

struct Queued {
    id: RequestId,
    rows: usize,
    since: Instant,
}

impl Queue {
    pub fn push(&mut self, client: ClientId, id: RequestId, rows: usize, since: Instant) {
        let queued = Queued { id, rows, since };
        self.rows += rows;
        match self.clients.iter_mut().find(|other| other.id == client) {
            Some(client) => client.requests.push_back(queued),
            None => {
                self.clients.push_back(Client { id: client, requests: VecDeque::from([queued]) })
            }
        }
    }

    /// Takes a request out, if it is here.
    pub fn remove(&mut self, id: &RequestId) {
        for client in &mut self.clients {
            if let Some(at) = client.requests.iter().position(|queued| queued.id == *id) {
                self.rows -= client.requests.remove(at).map_or(0, |queued| queued.rows);
            }
        }
        self.clients.retain(|client| !client.requests.is_empty());
    }

    pub fn clear(&mut self) {
        *self = Queue::default();
    }

    /// When the next batch begins: as soon as `max_rows` rows are there, else `delay` after the
    /// oldest request. `None` if there is none.
    pub fn due(&self, max_rows: usize, delay: Duration) -> Option<Instant> {
        let oldest = self
            .clients
            .iter()
            .filter_map(|client| client.requests.front())
            .map(|queued| queued.since)
            .min()?;
        Some(if self.rows >= max_rows { oldest } else { oldest + delay })
    }

    /// The requests of the next batch, at most `max_rows` rows in total; no single request has
    /// more.
    pub fn take(&mut self, max_rows: usize) -> Vec<RequestId> {
        let (mut batch, mut left) = (Vec::new(), max_rows);
        let mut passed = VecDeque::new();

        while let Some(mut client) = self.clients.pop_front() {
            match client.requests.front() {
                Some(queued) if queued.rows <= left => {
                    left -= queued.rows;
                    batch.push(queued.id);
                    client.requests.pop_front();
                    if !client.requests.is_empty() {
                        self.clients.push_back(client);
                    }
                }
                _ => passed.push_back(client),
            }
        }

        self.clients = passed;
        self.rows -= max_rows - left;
        batch
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use proptest::prelude::*;

    const MAX_ROWS: usize = 8;

    fn id(n: usize) -> RequestId {
        (n as u128).to_le_bytes()
    }

    fn filled(now: Instant, requests: &[(ClientId, usize)]) -> Queue {
        let mut queue = Queue::default();
        requests
            .iter()
            .enumerate()
            .for_each(|(n, (client, rows))| queue.push(*client, id(n), *rows, now));
        queue
    }

    fn take(queue: &mut Queue) -> Vec<usize> {
        queue.take(MAX_ROWS).into_iter().map(|id| u128::from_le_bytes(id) as usize).collect()
    }

    #[test]
    fn one_clients_flood_does_not_keep_another_waiting() {
        let mut requests = vec![(1, 1); 100];
        requests.push((2, 1));
        let mut queue = filled(Instant::now(), &requests);
        assert!(take(&mut queue).contains(&100));
    }

    #[test]
    fn a_large_request_is_passed_by_once() {
        let mut queue = filled(Instant::now(), &[(1, 1), (2, MAX_ROWS), (3, 1), (4, 1)]);
        assert_eq!(take(&mut queue), [0, 2, 3]);
        queue.push(1, id(4), 1, Instant::now());
        assert_eq!(take(&mut queue), [1]);
        assert_eq!(take(&mut queue), [4]);
    }

    #[test]
    fn a_batch_is_due_when_its_oldest_request_has_waited_or_when_it_is_full() {
        let (now, delay) = (Instant::now(), Duration::from_millis(5));
        let mut queue = Queue::default();
        assert_eq!(queue.due(MAX_ROWS, delay), None);
        queue.push(1, id(1), MAX_ROWS - 1, now);
        queue.push(2, id(2), 1, now + delay);
        assert_eq!(queue.due(MAX_ROWS + 1, delay), Some(now + delay));
        assert_eq!(queue.due(MAX_ROWS, delay), Some(now));
        queue.remove(&id(1));
        assert_eq!(queue.due(MAX_ROWS, delay), Some(now + 2 * delay));
        queue.remove(&id(2));
        assert_eq!(queue.due(MAX_ROWS, delay), None);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(ClientId, usize),
        Remove(usize),
        Take,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..6u64, prop_oneof![3 => 1..3usize, 1 => 1..=MAX_ROWS])
                .prop_map(|(client, rows)| Step::Push(client, rows)),
            1 => (0..100usize).prop_map(Step::Remove),
            2 => Just(Step::Take),
        ]
    }

    /// A waiting request, as the property sees it.
    struct Waits {
        client: ClientId,
        rows: usize,
        /// Batches within which it has to be served.
        within: usize,
    }

    proptest! {
        /// Bounded rows, order within a client, and nobody starves: with n clients waiting when a
        /// request comes as its client's k-th, k·n batches are enough.
        #[test]
        fn batches_are_bounded_in_order_and_starve_nobody(
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let now = Instant::now();
            let mut queue = Queue::default();
            let mut waiting: BTreeMap<usize, Waits> = BTreeMap::new();
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(client, rows) => {
                        queue.push(client, id(n), rows, now);
                        let others = waiting.values().map(|other| other.client);
                        let before = others.clone().filter(|other| *other == client).count();
                        let clients = others.chain([client]).collect::<BTreeSet<_>>().len();
                        // later comers push nobody back, but they are there when the client's next
                        // turn is counted: six at most
                        let within = clients + before * 6;
                        waiting.insert(n, Waits { client, rows, within });
                    }
                    Step::Remove(which) => {
                        queue.remove(&id(which));
                        waiting.remove(&which);
                    }
                    Step::Take => {
                        let batch = take(&mut queue);
                        prop_assert_eq!(batch.is_empty(), waiting.is_empty());
                        let mut rows = 0;
                        for served in batch {
                            let request = waiting.remove(&served);
                            let Waits { client, rows: own, .. } =
                                request.expect("it waited, and is served once");
                            rows += own;
                            prop_assert!(
                                !waiting.range(..served).any(|(_, other)| other.client == client),
                                "{} overtook an earlier request of its client", served
                            );
                        }
                        prop_assert!(rows <= MAX_ROWS);
                        for (n, request) in &mut waiting {
                            request.within -= 1;
                            prop_assert!(request.within > 0, "request {} is not served in time", n);
                        }
                    }
                }
            }
            let rows: usize = waiting.values().map(|request| request.rows).sum();
            prop_assert_eq!(queue.due(rows, Duration::from_secs(1)), (rows > 0).then_some(now));
        }
    }
}
