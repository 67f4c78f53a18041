//! Taking a lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The data behind a lock, poisoned or not: a panic on any thread ends the process (main.rs).
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
