//! The links of an epoch, as the engine's thread uses them: it sends, and whenever it waits, it
//! reads from all of them.
//!
//! So a control frame is handled and a lost link noticed whatever the engine waits for, and two
//! players that send more than the sockets hold do not wait for each other. Only one thread calls
//! these methods.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::frame::{Frame, Header};
use super::link::Link;
use super::lock::locked;
use super::waker::{poll, Waker};
use securemodel_mpc::role::Role;
use securemodel_mpc::ChannelError;

/// At most two.
pub struct Links<const N: usize>(pub [Arc<Link>; N]);

impl<const N: usize> Deref for Links<N> {
    type Target = [Arc<Link>; N];

    fn deref(&self) -> &[Arc<Link>; N] {
        &self.0
    }
}

impl<const N: usize> Links<N> {
    /// From now on only the thread that calls the methods below reads these links.
    pub fn engage(&self) {
        self.0.iter().for_each(|link| link.engage());
    }

    /// Sends a frame, or keeps it for the next `flush` if it is small.
    pub fn send(&self, to: Role, header: &Header, payload: &[u8]) -> Result<(), ChannelError> {
        self.with(to)?.put(header, payload, &mut |until| self.attend(None, until))
    }

    /// Sends what was kept, as far as the sockets take it; the rest leaves during the next wait.
    pub fn flush(&self) -> Result<(), ChannelError> {
        self.0.iter().try_for_each(|link| link.seal().and_then(|()| link.write().map(drop)))
    }

    /// The next frame of a batch from this peer, which may be silent for so long and no longer.
    pub fn recv(&self, from: Role) -> Result<Frame, ChannelError> {
        let link = self.with(from)?;
        let (begin, silence) = (Instant::now(), link.silence());
        loop {
            let until =
                locked(&link.intake).heard.map_or(begin, |heard| heard.max(begin)) + silence;
            if let Some(frame) = self.recv_until(link, until)? {
                return Ok(frame);
            }
            if locked(&link.intake).heard.is_none_or(|heard| heard + silence <= until) {
                return Err(ChannelError::Stalled(from));
            }
        }
    }

    /// The next frame of a batch from this peer, or `None` if none comes within this time.
    pub fn recv_within(&self, from: Role, wait: Duration) -> Result<Option<Frame>, ChannelError> {
        self.recv_until(self.with(from)?, Instant::now() + wait)
    }

    fn recv_until(&self, link: &Arc<Link>, until: Instant) -> Result<Option<Frame>, ChannelError> {
        loop {
            if let Some(frame) = locked(&link.intake).pop() {
                return Ok(Some(frame));
            }
            self.flush()?;
            if Instant::now() >= until {
                return Ok(None);
            }
            self.attend(None, until)?;
        }
    }

    /// Waits for work until the waker is called, at most for this long. No batch is running, so
    /// data of one is an error.
    pub fn wait(&self, waker: &Waker, wait: Duration) -> Result<(), ChannelError> {
        self.flush()?;
        if let Some(link) = self.0.iter().find(|link| !locked(&link.intake).is_empty()) {
            return Err(ChannelError::Misbehaved(link.peer, "data outside a batch".into()));
        }
        self.attend(Some(waker), Instant::now() + wait)
    }

    /// Returns a received buffer for reuse.
    pub fn recycle(&self, from: Role, buffer: Vec<u64>) {
        if let Ok(link) = self.with(from) {
            locked(&link.intake).decoder.pool.give(buffer);
        }
    }

    fn with(&self, peer: Role) -> Result<&Arc<Link>, ChannelError> {
        self.0.iter().find(|link| link.peer == peer).ok_or(ChannelError::Lost(peer))
    }

    /// Sleeps until a link has something to read, can take more of what was encrypted, or the waker
    /// is called; then reads and writes what it can.
    fn attend(&self, waker: Option<&Waker>, mut until: Instant) -> Result<(), ChannelError> {
        if let Some(link) = self.0.iter().find(|link| link.is_closed()) {
            return Err(ChannelError::Lost(link.peer));
        }

        let events = self.0.each_ref().map(|link| match link.behind() {
            Some(stalls) => {
                until = until.min(stalls);
                link.readable() | PollFlags::OUT
            }
            None => link.readable(),
        });

        let mut fds: [_; 3] = std::array::from_fn(|i| match (self.0.get(i), waker) {
            (Some(link), _) => link.polled(events[i]),
            (None, Some(waker)) => waker.polled(),
            (None, None) => self.0[0].polled(PollFlags::empty()), // not polled
        });
        let used = N + usize::from(waker.is_some());
        poll(&mut fds[..used], Some(until));

        let ready: [_; 3] = std::array::from_fn(|i| fds[i].revents());
        for (link, ready) in self.0.iter().zip(ready) {
            link.write()?;
            if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                let read = link.read(&mut locked(&link.intake));
                if let Err(fault) = read {
                    link.fail(&fault);
                    return Err(fault.of(link.peer));
                }
            }
        }

        if let Some(waker) = waker.filter(|_| !ready[N].is_empty()) {
            waker.clear();
        }
        Ok(())
    }
}
