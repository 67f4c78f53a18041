//! Waiting for several sockets at once, and to be woken by another thread.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::{eventfd, EventfdFlags, PollFd, PollFlags, Timespec};

/// Wakes the thread that polls it. A call before the poll is not lost.
pub struct Waker(OwnedFd);

impl Waker {
    pub fn new() -> std::io::Result<Waker> {
        Ok(Waker(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    pub fn wake(&self) {
        // it fails only after 2^64 - 2 calls that nobody polled for
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    pub(super) fn polled(&self) -> PollFd<'_> {
        PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)
    }

    pub(super) fn clear(&self) {
        let _ = rustix::io::read(&self.0, &mut [0u8; 8]);
    }
}

/// Sleeps until one of them is ready or this time has come. May return early, with nothing ready.
pub(super) fn poll(fds: &mut [PollFd<'_>], until: Option<Instant>) {
    let wait = until.map(|until| {
        let left = until.saturating_duration_since(Instant::now());
        Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
    });
    if rustix::event::poll(fds, wait.as_ref()).is_err() {
        // a signal: the descriptors themselves are valid
        fds.iter_mut().for_each(PollFd::clear_revents);
    }
}
