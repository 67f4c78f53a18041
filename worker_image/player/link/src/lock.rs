//! Taking a lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The data behind a lock. A panic elsewhere ends the process (main.rs); until then it is whole.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
