//! bob: requests that alice has yet to be told of, and what he has sent her.

use std::time::{Duration, Instant};

use securemodel_link::announce::{Entry, RequestId};

use super::kept::Kept;
use super::limits::{sent, MAX_BYTES, MAX_SENT};
use super::request::Sent;

#[derive(Default)]
pub(super) struct Outbox {
    /// Requests that alice has not been told of yet.
    untold: Vec<RequestId>,
    /// What she may still announce, even if the client has left.
    sent: Kept<Sent>,
}

impl Outbox {
    pub(super) fn push(&mut self, id: RequestId) {
        self.untold.push(id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.untold.is_empty()
    }

    /// Takes all that alice has yet to be told of.
    pub(super) fn take_untold(&mut self) -> Vec<RequestId> {
        std::mem::take(&mut self.untold)
    }

    /// The request was withdrawn; what was sent stays.
    pub(super) fn withdraw(&mut self, id: &RequestId) {
        self.untold.retain(|other| other != id);
    }

    /// This is about to go to alice.
    pub(super) fn sending(&mut self, now: Instant, id: RequestId, sent: Sent) {
        let bytes = 8 * sent.masked.share.len();
        self.sent.insert(now, id, sent, bytes);
    }

    /// What he sent for an announced request; it can be had only once.
    pub(super) fn announced(&mut self, entry: &Entry) -> Option<Sent> {
        let sent = &self.sent.get(&entry.id)?.masked;
        let fits = (sent.number, sent.rows) == (entry.number, entry.rows);
        fits.then(|| self.sent.remove(&entry.id)).flatten()
    }

    /// Whether she has been told of as much as may be announced.
    pub(super) fn is_full(&self) -> bool {
        self.sent.count() >= MAX_SENT
    }

    /// Of the shares that she may still announce.
    pub(super) fn bytes(&self) -> usize {
        self.sent.bytes()
    }

    /// `batch`: how long a batch may take.
    pub(super) fn tidy(&mut self, now: Instant, batch: Duration) {
        self.sent.tidy(now, sent(batch), MAX_SENT, MAX_BYTES);
    }

    pub(super) fn clear(&mut self) {
        *self = Outbox::default();
    }
}
