//! What `/status` and `/metrics` count, since the start of the process.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
pub struct Counters {
    pub batches: AtomicU64,
    pub rows: AtomicU64,
    pub requests: AtomicU64,
    pub errors: AtomicU64,
    /// Frames and client bodies, before TLS.
    pub bytes_sent: AtomicU64,
    pub bytes_received: AtomicU64,
    /// Of the last batch: the longest chain of messages, client to client.
    pub hops: AtomicU64,
}

impl Counters {
    pub fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }
}
