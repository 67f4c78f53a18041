//! What `/status` and `/metrics` count, since the start of the process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use securemodel_link::traffic::Traffic;

#[derive(Default)]
pub struct Counters {
    pub batches: AtomicU64,
    pub rows: AtomicU64,
    /// Batches of at most 2^i rows that had more than 2^(i - 1).
    pub batch_rows: [AtomicU64; SIZES],
    pub batch_micros: AtomicU64,
    pub requests: AtomicU64,
    pub errors: AtomicU64,
    /// Requests refused because too much waited; errors, too.
    pub rejected: AtomicU64,
    /// Frames and client bodies.
    pub traffic: Arc<Traffic>,
    /// Of the last batch: the longest chain of messages, client to client.
    pub hops: AtomicU64,
}

/// Up to 2^16 rows, the most that --max-rows takes.
const SIZES: usize = 17;

impl Counters {
    pub fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// A batch has ended.
    pub fn batch(&self, rows: usize, took: Duration, hops: u16) {
        Counters::add(&self.batches, 1);
        Counters::add(&self.rows, rows);
        Counters::add(&self.batch_rows[(rows.next_power_of_two().ilog2() as usize).min(SIZES - 1)], 1);
        Counters::add(&self.batch_micros, took.as_micros() as usize);
        self.hops.store(u64::from(hops), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_counted_by_size() {
        let counters = Counters::default();
        for rows in [1, 2, 3, 4, 5, 256, 1 << 16] {
            counters.batch(rows, Duration::from_millis(2), 9);
        }
        let sizes = counters.batch_rows.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert_eq!(sizes, [1, 1, 2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(counters.batch_micros.load(Ordering::Relaxed), 14_000);
    }
}
