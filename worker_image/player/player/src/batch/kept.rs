//! What data players keep about requests that are in no batch yet: only so much, and only for so
//! long.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use securemodel_link::announce::RequestId;

/// Values by request, forgotten after some time.
pub(super) struct Kept<V> {
    values: HashMap<RequestId, (V, usize)>,
    /// In order of arrival; some may be gone already.
    order: VecDeque<(Instant, RequestId)>,
    bytes: usize,
}

impl<V> Default for Kept<V> {
    fn default() -> Kept<V> {
        Kept { values: HashMap::new(), order: VecDeque::new(), bytes: 0 }
    }
}

impl<V> Kept<V> {
    /// Keeps a value of so many bytes, unless there is one already.
    pub(super) fn insert(&mut self, now: Instant, id: RequestId, value: V, bytes: usize) -> bool {
        if self.values.contains_key(&id) {
            return false;
        }
        self.values.insert(id, (value, bytes));
        self.order.push_back((now, id));
        self.bytes += bytes;
        true
    }

    pub(super) fn get(&self, id: &RequestId) -> Option<&V> {
        self.values.get(id).map(|(value, _)| value)
    }

    pub(super) fn remove(&mut self, id: &RequestId) -> Option<V> {
        let (value, bytes) = self.values.remove(id)?;
        self.bytes -= bytes;
        Some(value)
    }

    /// Forgets what is older than `time` and then, oldest first, whatever exceeds so many values or
    /// bytes.
    pub(super) fn tidy(&mut self, now: Instant, time: Duration, most: usize, most_bytes: usize) {
        while let Some((since, oldest)) = self.order.front().copied() {
            let crowded = self.values.len() > most || self.bytes > most_bytes;
            if !crowded && now.duration_since(since) <= time && self.values.contains_key(&oldest) {
                break;
            }
            self.order.pop_front();
            self.remove(&oldest);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.values.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(5);

    fn kept(now: Instant, count: u8) -> Kept<u8> {
        let mut kept = Kept::default();
        (0..count).for_each(|n| assert!(kept.insert(now, [n; 16], n, 10)));
        kept
    }

    fn left(kept: &Kept<u8>) -> Vec<u8> {
        (0..10).filter(|n| kept.get(&[*n; 16]).is_some()).collect()
    }

    #[test]
    fn old_values_are_forgotten() {
        let now = Instant::now();
        let mut kept = kept(now, 2);
        kept.insert(now + TIME, [2; 16], 2, 10);
        kept.tidy(now + TIME, TIME, 10, 1000);
        assert_eq!(left(&kept), [0, 1, 2]);
        kept.tidy(now + TIME + TIME / 2, TIME, 10, 1000);
        assert_eq!((left(&kept), kept.bytes()), (vec![2], 10));
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_too_many_bytes() {
        let now = Instant::now();
        let mut kept = kept(now, 6);
        kept.remove(&[0; 16]);
        kept.tidy(now, TIME, 4, 1000);
        assert_eq!(left(&kept), [2, 3, 4, 5]);
        kept.tidy(now, TIME, 4, 25);
        assert_eq!((left(&kept), kept.bytes()), (vec![4, 5], 20));
    }

    #[test]
    fn there_is_one_value_a_request() {
        let mut kept = kept(Instant::now(), 1);
        assert!(!kept.insert(Instant::now(), [0; 16], 9, 10));
        assert_eq!((kept.remove(&[0; 16]), kept.count(), kept.bytes()), (Some(0), 0, 0));
    }
}
