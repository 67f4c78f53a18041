//! Request ids that were used.

use std::collections::{HashSet, VecDeque};

use securemodel_link::announce::RequestId;

/// Ids remembered.
const MOST: usize = 1 << 16;

/// The latest ids, so that none is used twice.
#[derive(Default)]
pub(super) struct Seen {
    ids: HashSet<RequestId>,
    /// In order of arrival.
    order: VecDeque<RequestId>,
}

impl Seen {
    /// Whether the id is new. From now on it is not.
    pub(super) fn insert(&mut self, id: RequestId) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > MOST {
            let oldest = self.order.pop_front();
            oldest.map(|oldest| self.ids.remove(&oldest));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_ids_are_forgotten_when_there_are_too_many() {
        let id = |n: usize| (n as u128).to_le_bytes();
        let mut seen = Seen::default();
        assert!((0..=MOST).all(|n| seen.insert(id(n))));
        assert!(!seen.insert(id(MOST)) && !seen.insert(id(1)));
        assert!(seen.insert(id(0)));
        assert_eq!((seen.ids.len(), seen.order.len()), (MOST, MOST));
    }
}
