//! Buffers that are reused from instruction to instruction and from batch to batch: in the steady
//! state, a batch makes no allocation that grows with its size.

use crate::simd::kernels::products::Places;

/// Free buffers. Drop it when no batch is expected: it keeps as much memory as the largest batch
/// took.
#[derive(Default)]
pub struct Workspace {
    free: Vec<Vec<u64>>,
    /// Where windows are.
    pub(crate) places: Places,
}

/// More than a batch holds at once.
const MOST: usize = 64;

impl Workspace {
    /// `n` words of arbitrary content: a free buffer of that length, or the smallest with room, or
    /// else a new one.
    pub(crate) fn take(&mut self, n: usize) -> Vec<u64> {
        let equal = self.free.iter().position(|buffer| buffer.len() == n);
        let roomy = || {
            (0..self.free.len())
                .filter(|i| self.free[*i].capacity() >= n)
                .min_by_key(|i| self.free[*i].capacity())
        };
        let mut buffer = equal
            .or_else(roomy)
            .map_or_else(|| Vec::with_capacity(n), |i| self.free.swap_remove(i));
        buffer.resize(n, 0);
        buffer
    }

    /// A buffer of these words.
    pub(crate) fn copy(&mut self, words: &[u64]) -> Vec<u64> {
        let mut buffer = self.take(words.len());
        buffer.copy_from_slice(words);
        buffer
    }

    /// Takes a buffer back.
    pub(crate) fn give(&mut self, buffer: Vec<u64>) {
        if self.free.len() >= MOST {
            let smallest = (0..self.free.len()).min_by_key(|i| self.free[*i].capacity());
            smallest.map(|i| self.free.swap_remove(i));
        }
        if buffer.capacity() > 0 {
            self.free.push(buffer);
        }
    }
}
