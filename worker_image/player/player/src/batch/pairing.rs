//! alice: bob's parts of requests, and the requests that have both parts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use securemodel_link::announce::RequestId;
use securemodel_link::epoch::frozen;

use super::kept::Kept;
use super::limits::{COUNTERPART, MAX_BYTES, MAX_SENT};
use super::queue::{ClientId, Queue};
use super::request::MaskedShare;

pub(super) struct Pairing {
    /// What bob has sent for requests of which she has no share yet.
    held: Kept<MaskedShare>,
    /// bob's next number.
    next_number: u64,
    /// bob's parts of the requests in the queue.
    parts: HashMap<RequestId, MaskedShare>,
    /// Requests that have both parts.
    queue: Queue,
}

impl Pairing {
    pub(super) fn new() -> Pairing {
        let (parts, queue) = (HashMap::new(), Queue::default());
        Pairing { held: Kept::default(), next_number: 0, parts, queue }
    }

    /// bob numbers his shares in the order in which he sends them.
    pub(super) fn count(&mut self, number: u64) -> Result<(), String> {
        if number != self.next_number {
            return Err(format!(
                "a share under number {number} where {} is next",
                self.next_number
            ));
        }
        self.next_number += u64::from(!frozen());
        Ok(())
    }

    /// Keeps bob's part until her own comes; false if there is one already.
    pub(super) fn hold(&mut self, now: Instant, id: RequestId, masked: MaskedShare) -> bool {
        let bytes = 8 * masked.share.len();
        let held = self.held.insert(now, id, masked, bytes);
        self.tidy(now);
        held
    }

    /// Takes bob's part of a request of which her own has come.
    pub(super) fn take_held(&mut self, id: &RequestId) -> Option<MaskedShare> {
        self.held.remove(id)
    }

    /// Both parts of a request have come, and they fit.
    pub(super) fn pair(
        &mut self,
        client: ClientId,
        id: RequestId,
        masked: MaskedShare,
        now: Instant,
    ) {
        self.queue.push(client, id, masked.rows, now);
        self.parts.insert(id, masked);
    }

    pub(super) fn is_paired(&self, id: &RequestId) -> bool {
        self.parts.contains_key(id)
    }

    /// Takes a request out of the queue, if it is there.
    pub(super) fn remove(&mut self, id: &RequestId) -> bool {
        let was_paired = self.parts.remove(id).is_some();
        if was_paired {
            self.queue.remove(id);
        }
        was_paired
    }

    /// When the next batch begins (`Queue::due`).
    pub(super) fn due(&self, max_rows: usize, delay: Duration) -> Option<Instant> {
        self.queue.due(max_rows, delay)
    }

    /// The requests of the next batch, with bob's parts.
    pub(super) fn take(&mut self, max_rows: usize) -> Vec<(RequestId, MaskedShare)> {
        let ids = self.queue.take(max_rows).into_iter();
        ids.filter_map(|id| Some((id, self.parts.remove(&id)?))).collect()
    }

    /// What bob may have sent since bounds what alice holds, so that she never has to forget a
    /// share that he still counts on.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.held.tidy(now, COUNTERPART, MAX_SENT, MAX_BYTES);
    }

    /// The epoch is over; numbers start over.
    pub(super) fn clear(&mut self) {
        *self = Pairing::new();
    }

    #[cfg(test)]
    pub(super) fn count_held(&self) -> usize {
        self.held.count()
    }
}
