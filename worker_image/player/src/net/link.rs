//! One link to a peer: TLS on a blocking socket, a reader thread, frames in order.
//!
//! Two locks, so that both ends can send large frames at once: the sender encrypts under `tls` and writes to the socket under `write` alone; the reader takes `tls`
//! only to decrypt what it has already read, so a full socket never keeps it from reading on.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::Connection;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::epoch::{LinkId, LinkSecret};
use super::frame::{encode, Decoder, Frame, Header};
use crate::counters::Counters;
use crate::mpc::ChannelError;
use crate::role::Role;

/// Without a byte of the awaited frame, and without a byte of ours being taken.
const DEADLINE: Duration = Duration::from_secs(5);
/// Received but not yet asked for: past this the reader waits, and with it the peer.
const INBOX_BYTES: usize = 256 << 20;

pub struct Link {
    pub peer: Role,
    pub id: LinkId,
    pub secret: LinkSecret,
    tls: Mutex<Connection>,
    write: Mutex<()>,
    socket: TcpStream,
    inbox: Mutex<Inbox>,
    changed: Condvar,
    closed: AtomicBool,
    /// The longest DATA payload that the program can need.
    data_limit: AtomicUsize,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Inbox {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// When the last byte of a batch came, of a whole frame or not.
    heard: Option<Instant>,
}

/// What a link tells its owner; called on the reader's thread.
pub trait Listener: Send + Sync {
    /// A frame that does not belong to a batch's data. Frames of batches go to the inbox.
    fn control(&self, link: &Arc<Link>, frame: Frame) -> Result<(), String>;
    fn lost(&self, link: &Arc<Link>, why: &str);
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // a panic elsewhere ends the process (main.rs); until then the data is still whole
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// A link over a finished handshake. `roles`, `certificates`: the dialer's and the listener's.
    pub fn new(
        peer: Role,
        mut tls: Connection,
        socket: TcpStream,
        roles: [Role; 2],
        certificates: [&[u8]; 2],
        counters: Arc<Counters>,
    ) -> Result<Arc<Link>, String> {
        let mut context = Vec::new();
        for role in roles {
            context.extend_from_slice(role.as_str().as_bytes());
            context.push(0);
        }
        certificates.iter().for_each(|c| context.extend_from_slice(&Sha256::digest(c)));
        let mut bytes = tls.export_keying_material([0u8; 32], b"EXPORTER-securemodel-link", Some(&context)).map_err(|e| e.to_string())?;
        let secret = LinkSecret(bytes);
        bytes.zeroize();
        tls.set_buffer_limit(None);
        let prepare = || -> std::io::Result<()> {
            socket.set_nonblocking(false)?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(None)?;
            socket.set_write_timeout(Some(DEADLINE))?;
            // a peer whose machine is gone says nothing: notice it within the deadline, also between batches
            let keepalive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(2)).with_interval(Duration::from_secs(1)).with_retries(3);
            socket2::SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
            socket2::SockRef::from(&socket).set_tcp_user_timeout(Some(DEADLINE))
        };
        prepare().map_err(|e| e.to_string())?;
        Ok(Arc::new(Link {
            peer,
            id: secret.id(),
            secret,
            tls: Mutex::new(tls),
            write: Mutex::new(()),
            socket,
            inbox: Mutex::default(),
            changed: Condvar::new(),
            closed: AtomicBool::new(false),
            data_limit: AtomicUsize::new(0),
            counters,
        }))
    }

    /// Starts the reader. `data_limit`: the longest DATA payload that the program can need.
    pub fn start(self: &Arc<Link>, data_limit: usize, listener: Arc<dyn Listener>) {
        self.data_limit.store(data_limit, Ordering::Relaxed);
        let link = self.clone();
        std::thread::spawn(move || {
            let why = link.read(&*listener).err().unwrap_or_else(|| "closed by the peer".into());
            link.close();
            listener.lost(&link, &why);
        });
    }

    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = self.socket.shutdown(Shutdown::Both);
        let _inbox = locked(&self.inbox);
        self.changed.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Sends one frame; at most one thread's frame is on its way at a time.
    pub fn send(&self, header: &Header, payload: &[u8]) -> Result<(), ChannelError> {
        if payload.len() > super::frame::MAX_PAYLOAD {
            return Err(ChannelError::Protocol(self.peer, format!("a message of {} bytes; lower --max-rows", payload.len())));
        }
        let lost = |_| ChannelError::Lost(self.peer);
        let mut plain = Vec::with_capacity(super::frame::HEADER + payload.len());
        encode(header, payload, &mut plain);
        let _order = locked(&self.write);
        let mut encrypted = Vec::with_capacity(plain.len() + plain.len() / 256 + 64);
        {
            let mut tls = locked(&self.tls);
            tls.writer().write_all(&plain).map_err(lost)?;
            while tls.wants_write() {
                tls.write_tls(&mut encrypted).map_err(lost)?;
            }
        }
        (&self.socket).write_all(&encrypted).map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => ChannelError::Stalled(self.peer),
            _ => ChannelError::Lost(self.peer),
        })?;
        Counters::add(&self.counters.bytes_sent, plain.len());
        Ok(())
    }

    /// The next frame of a batch, within the deadline.
    pub fn recv(&self) -> Result<Frame, ChannelError> {
        let begin = Instant::now();
        loop {
            let silent_since = locked(&self.inbox).heard.map_or(begin, |heard| heard.max(begin));
            let left = DEADLINE.checked_sub(silent_since.elapsed()).ok_or(ChannelError::Stalled(self.peer))?;
            if let Some(frame) = self.recv_within(left)? {
                return Ok(frame);
            }
        }
    }

    /// The next frame of a batch, or nothing if none comes in this time.
    pub fn recv_within(&self, wait: Duration) -> Result<Option<Frame>, ChannelError> {
        let end = Instant::now() + wait;
        let mut inbox = locked(&self.inbox);
        loop {
            if let Some(frame) = inbox.frames.pop_front() {
                inbox.bytes -= frame.payload.len();
                self.changed.notify_all();
                return Ok(Some(frame));
            }
            if self.is_closed() {
                return Err(ChannelError::Lost(self.peer));
            }
            let Some(left) = end.checked_duration_since(Instant::now()) else { return Ok(None) };
            inbox = self.changed.wait_timeout(inbox, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn read(self: &Arc<Link>, listener: &dyn Listener) -> Result<(), String> {
        let mut raw = vec![0u8; 64 << 10];
        let mut decoder = Decoder::default();
        let mut n = 0; // the first round takes what came with the handshake
        loop {
            let got = self.decrypt(&raw[..n], &mut decoder)?;
            Counters::add(&self.counters.bytes_received, got);
            let limit = self.data_limit.load(Ordering::Relaxed);
            while let Some(frame) = decoder.next(limit).map_err(|e| e.to_string())? {
                if frame.header.kind.of_batch() {
                    self.deliver(frame)?;
                } else {
                    listener.control(self, frame)?;
                }
            }
            if decoder.in_batch() {
                locked(&self.inbox).heard = Some(Instant::now());
            }
            n = match (&self.socket).read(&mut raw) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => 0,
                Err(e) => return Err(e.to_string()),
            };
        }
    }

    /// Returns how many plain bytes came of it.
    fn decrypt(&self, mut raw: &[u8], decoder: &mut Decoder) -> Result<usize, String> {
        let mut got = 0;
        let mut tls = locked(&self.tls);
        let mut plain = [0u8; 16 << 10];
        loop {
            if !raw.is_empty() {
                tls.read_tls(&mut raw).map_err(|e| e.to_string())?;
                tls.process_new_packets().map_err(|e| e.to_string())?;
            }
            loop {
                match tls.reader().read(&mut plain) {
                    Ok(0) => return Ok(got),
                    Ok(n) => {
                        decoder.extend(&plain[..n]);
                        got += n;
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(e) => return Err(e.to_string()),
                }
            }
            if raw.is_empty() {
                return Ok(got);
            }
        }
    }

    fn deliver(&self, frame: Frame) -> Result<(), String> {
        let mut inbox = locked(&self.inbox);
        while inbox.bytes > INBOX_BYTES {
            if self.is_closed() {
                return Err("closed".into());
            }
            inbox = self.changed.wait_timeout(inbox, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner).0;
        }
        inbox.bytes += frame.payload.len();
        inbox.frames.push_back(frame);
        self.changed.notify_all();
        Ok(())
    }
}
