//! One link to a peer: TLS on a non-blocking socket, frames in order.
//!
//! Who reads: one thread at a time, under `intake`. A link starts with a thread of its own, for the
//! frames that make an epoch. Once an epoch serves, the link is `engaged` for good: its own thread
//! ends, and the engine's thread reads (`links`), so that a message wakes the thread that waits for
//! it and no other.
//!
//! Who writes: any thread. `pending` is held from a frame's first byte to its last, so frames do
//! not mix; `stream` only while bytes are encrypted, decrypted or written, never while waiting.
//! What the socket does not take stays in the outbox while the engine computes, and leaves when it
//! next sends or waits. A sender has to wait only when the outbox is full, and the engine keeps
//! reading meanwhile.
//!
//! Locks are taken in this order: `intake`, the mesh's, `pending`, `stream`. The engine may read
//! while it holds `pending`, so the mesh sends nothing on engaged links.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustls::Connection;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::epoch::{LinkId, LinkSecret};
use super::frame::{Decoder, Frame, Header, HEADER, MAX_PAYLOAD};
use super::lock::locked;
use super::traffic::Traffic;
use super::waker::poll;
use securemodel_mpc::role::Role;
use securemodel_mpc::ChannelError;

/// How long a peer may send no byte of the awaited frame, or take no byte of ours, if no program
/// asks it to compute for longer (`Offer::silence`).
pub const DEADLINE: Duration = Duration::from_secs(5);
/// Received but not yet asked for: beyond this, reading stops and the peer has to wait.
const INBOX_BYTES: usize = 256 << 20;
/// Encrypted but not yet taken by the socket: beyond this, a sender waits.
const OUTBOX_BYTES: usize = 16 << 20;
/// The most that one read takes.
const READ: usize = 64 << 10;
/// A TLS record; anything shorter waits for more to fill it.
const RECORD: usize = 16 << 10;
/// How much of a frame is encrypted before it is written, so that the peer can decrypt meanwhile.
const PIECE: usize = 8 * RECORD;

pub struct Link {
    pub peer: Role,
    pub id: LinkId,
    pub secret: LinkSecret,
    socket: TcpStream,
    stream: Mutex<Stream>,
    /// Frames that are not encrypted yet; less than a record.
    pending: Mutex<Vec<u8>>,
    pub(super) intake: Mutex<Intake>,
    engaged: AtomicBool,
    closed: AtomicBool,
    started: OnceLock<Started>,
    traffic: Arc<Traffic>,
}

struct Stream {
    tls: Connection,
    /// Roughly how many encrypted bytes the socket has not taken; 0 only if there are none.
    outbox: usize,
    /// When the socket last took some, or the outbox was empty.
    taken: Instant,
}

/// Waits until the socket may take more, or until this time.
type Wait<'a> = &'a mut dyn FnMut(Instant) -> Result<(), ChannelError>;

struct Started {
    /// The longest DATA payload that the program can need.
    data_limit: usize,
    silence: Duration,
    owner: Arc<dyn Owner>,
}

/// The reading end. Its buffers are reused.
#[derive(Default)]
pub(super) struct Intake {
    raw: Vec<u8>,
    pub decoder: Decoder,
    arrived: Vec<Frame>,
    inbox: VecDeque<Frame>,
    bytes: usize,
    /// When the last bytes of a batch came, of a whole frame or not.
    pub heard: Option<Instant>,
}

impl Intake {
    pub(super) fn pop(&mut self) -> Option<Frame> {
        let frame = self.inbox.pop_front()?;
        self.bytes -= frame.payload.len();
        Some(frame)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inbox.is_empty()
    }

    fn is_full(&self) -> bool {
        self.bytes > INBOX_BYTES
    }
}

/// Whoever a link belongs to; called on the thread that reads.
pub trait Owner: Send + Sync {
    /// A frame that does not belong to a batch. Frames of batches wait in the link.
    fn control(&self, link: &Arc<Link>, frame: &Frame) -> Result<(), String>;
    /// A frame of a batch came before the engine attends to this link; an error if it may not.
    fn early(&self, link: &Arc<Link>) -> Result<(), String>;
    fn lost(&self, link: &Arc<Link>, fault: &Fault);
}

/// Why a link cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("closed by the peer")]
    Closed,
    #[error("{0}")]
    Socket(std::io::Error),
    #[error("{0}")]
    Wrong(String),
}

impl Fault {
    /// What it means for a batch.
    pub fn of(&self, peer: Role) -> ChannelError {
        match self {
            Fault::Socket(e) if e.kind() == ErrorKind::TimedOut => ChannelError::Stalled(peer),
            Fault::Closed | Fault::Socket(_) => ChannelError::Lost(peer),
            Fault::Wrong(why) => ChannelError::Misbehaved(peer, why.clone()),
        }
    }
}

impl Link {
    /// A link over a finished handshake. `roles`, `certificates`: the dialer's and the listener's.
    pub fn new(
        peer: Role,
        mut tls: Connection,
        socket: TcpStream,
        roles: [Role; 2],
        certificates: [&[u8]; 2],
        traffic: Arc<Traffic>,
    ) -> Result<Arc<Link>, String> {
        let secret = exported_secret(&tls, roles, certificates)?;
        tls.set_buffer_limit(None);
        prepare(&socket).map_err(|e| e.to_string())?;

        Ok(Arc::new(Link {
            peer,
            id: secret.id(),
            secret,
            socket,
            stream: Mutex::new(Stream { tls, outbox: 0, taken: Instant::now() }),
            pending: Mutex::default(),
            intake: Mutex::default(),
            engaged: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            started: OnceLock::new(),
            traffic,
        }))
    }

    /// Starts the link's thread. `data_limit`: the longest DATA payload that the program can need;
    /// `silence`: how long the peer may compute.
    pub fn start(self: &Arc<Link>, data_limit: usize, silence: Duration, owner: Arc<dyn Owner>) {
        let _ = self.started.set(Started { data_limit, silence, owner });
        // a peer that computes takes nothing; without the option it has as long as it likes
        let _ = socket2::SockRef::from(&self.socket).set_tcp_user_timeout(Some(silence));
        let link = self.clone();
        std::thread::spawn(move || {
            if let Err(fault) = link.read_until_engaged() {
                link.fail(&fault);
            }
        });
    }

    /// From now on only the engine's thread reads.
    pub(super) fn engage(&self) {
        self.engaged.store(true, Ordering::SeqCst);
    }

    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = self.socket.shutdown(Shutdown::Both); // wakes whoever polls
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(super) fn fail(self: &Arc<Link>, fault: &Fault) {
        // before closing, so that nobody finds the link closed before its owner knows why
        if let Some(started) = self.started.get() {
            started.owner.lost(self, fault);
        }
        self.close();
    }

    /// Sends one frame at once, from any thread except the engine's, which uses `Links::send`.
    pub fn send(&self, header: &Header, payload: &[u8]) -> Result<(), ChannelError> {
        let mut room = |until| {
            poll(&mut [self.polled(PollFlags::OUT)], Some(until));
            Ok(())
        };
        self.put(header, payload, &mut room)?;
        self.seal()?;
        self.drain(0, &mut room)
    }

    /// Takes one frame. A short one stays pending; the first part of a long one is on its way while
    /// the rest is encrypted. The socket may lag behind by a full outbox; beyond that `wait` is
    /// called, with the time at which a peer that takes nothing counts as stalled.
    pub(super) fn put(
        &self,
        header: &Header,
        payload: &[u8],
        wait: Wait,
    ) -> Result<(), ChannelError> {
        if payload.len() > MAX_PAYLOAD {
            let why = format!(
                "a message of {} bytes for {}, at most {MAX_PAYLOAD} can be sent; lower --max-rows",
                payload.len(),
                self.peer
            );
            return Err(ChannelError::Ours(why));
        }

        self.traffic.add_sent(HEADER + payload.len());
        let mut pending = locked(&self.pending);
        pending.extend_from_slice(&header.encode(payload.len()));

        let (first, rest) =
            payload.split_at(payload.len().min(RECORD.saturating_sub(pending.len())));
        pending.extend_from_slice(first);
        if pending.len() < RECORD {
            return Ok(());
        }
        self.encrypt(&pending)?;
        pending.clear();

        for piece in rest.chunks(PIECE) {
            self.encrypt(piece)?;
            self.drain(OUTBOX_BYTES, wait)?;
        }
        Ok(())
    }

    /// Encrypts what is pending.
    pub(super) fn seal(&self) -> Result<(), ChannelError> {
        let mut pending = locked(&self.pending);
        if !pending.is_empty() {
            self.encrypt(&pending)?;
            pending.clear();
        }
        Ok(())
    }

    /// Writes what is encrypted until at most `rest` bytes are left.
    fn drain(&self, rest: usize, wait: Wait) -> Result<(), ChannelError> {
        while self.write()? > rest {
            let stalls = locked(&self.stream).taken + self.silence();
            wait(stalls)?;
        }
        Ok(())
    }

    /// Writes what is encrypted, as far as the socket takes it; how many bytes are left.
    pub(super) fn write(&self) -> Result<usize, ChannelError> {
        let silence = self.silence();
        let mut stream = locked(&self.stream);
        let Stream { tls, outbox, taken } = &mut *stream;
        while *outbox > 0 {
            match tls.write_tls(&mut &self.socket) {
                Ok(n) => {
                    (*outbox, *taken) = (
                        if tls.wants_write() { outbox.saturating_sub(n).max(1) } else { 0 },
                        Instant::now(),
                    )
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock && taken.elapsed() < silence => break,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    return Err(ChannelError::Stalled(self.peer))
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Fault::Socket(e).of(self.peer)),
            }
        }
        Ok(*outbox)
    }

    /// When a peer that takes nothing more counts as stalled; `None` if it has taken everything.
    pub(super) fn behind(&self) -> Option<Instant> {
        let stream = locked(&self.stream);
        (stream.outbox > 0).then(|| stream.taken + self.silence())
    }

    /// How long the peer may send or take nothing.
    pub(super) fn silence(&self) -> Duration {
        self.started.get().map_or(DEADLINE, |started| started.silence)
    }

    fn encrypt(&self, plain: &[u8]) -> Result<(), ChannelError> {
        let mut stream = locked(&self.stream);
        if stream.outbox == 0 {
            stream.taken = Instant::now();
        }
        stream.outbox += plain.len();
        stream.tls.writer().write_all(plain).map_err(|_| ChannelError::Lost(self.peer))
    }

    pub(super) fn polled(&self, events: PollFlags) -> PollFd<'_> {
        PollFd::new(&self.socket, events)
    }

    /// What to poll for, so that frames are read: nothing while the inbox is full.
    pub(super) fn readable(&self) -> PollFlags {
        if locked(&self.intake).is_full() {
            PollFlags::empty()
        } else {
            PollFlags::IN
        }
    }

    fn read_until_engaged(self: &Arc<Link>) -> Result<(), Fault> {
        let mut with_handshake = true;
        loop {
            {
                let mut intake = locked(&self.intake);
                if self.engaged.load(Ordering::SeqCst) {
                    return Ok(());
                }
                if std::mem::take(&mut with_handshake) {
                    self.take(&mut intake, 0)?; // what came with the handshake
                } else {
                    self.read(&mut intake)?;
                }
                if intake.is_full() {
                    return Err(Fault::Wrong(
                        "more data than a batch can need, before this player serves".into(),
                    ));
                }
            }
            poll(&mut [self.polled(PollFlags::IN)], None);
        }
    }

    /// Reads once, if there is anything, and passes on the frames that are complete.
    pub(super) fn read(self: &Arc<Link>, intake: &mut Intake) -> Result<(), Fault> {
        intake.raw.resize(READ, 0);
        match (&self.socket).read(&mut intake.raw) {
            Ok(0) => Err(Fault::Closed),
            Ok(n) => self.take(intake, n),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
            Err(e) => Err(Fault::Socket(e)),
        }
    }

    fn take(self: &Arc<Link>, intake: &mut Intake, n: usize) -> Result<(), Fault> {
        let Some(Started { data_limit, owner, .. }) = self.started.get() else { return Ok(()) };
        let decrypted = self.decrypt(intake, n, *data_limit);

        let mut arrived = std::mem::take(&mut intake.arrived);
        for frame in arrived.drain(..) {
            self.traffic.add_received(HEADER + frame.payload.len());
            if frame.header.kind.of_batch() {
                if !self.engaged.load(Ordering::SeqCst) {
                    owner.early(self).map_err(Fault::Wrong)?;
                }
                intake.bytes += frame.payload.len();
                intake.inbox.push_back(frame);
            } else {
                owner.control(self, &frame).map_err(Fault::Wrong)?;
                intake.decoder.pool.give(frame.payload.into_buffer());
            }
        }

        intake.arrived = arrived;
        if intake.decoder.in_batch() {
            intake.heard = Some(Instant::now());
        }
        decrypted
    }

    /// Decrypts the first `n` raw bytes into frames.
    fn decrypt(&self, intake: &mut Intake, n: usize, data_limit: usize) -> Result<(), Fault> {
        let wrong = |e: &dyn std::fmt::Display| Fault::Wrong(e.to_string());
        let mut raw = &intake.raw[..n];
        let tls = &mut locked(&self.stream).tls;
        loop {
            while let Some(frame) =
                intake.decoder.next(&mut tls.reader(), data_limit).map_err(|e| wrong(&e))?
            {
                intake.arrived.push(frame);
            }
            if raw.is_empty() {
                return Ok(());
            }
            tls.read_tls(&mut raw).map_err(|e| wrong(&e))?;
            if tls.process_new_packets().map_err(|e| wrong(&e))?.peer_has_closed() {
                return Err(Fault::Closed);
            }
        }
    }
}

/// The secret that both ends have, bound to their roles and certificates.
fn exported_secret(
    tls: &Connection,
    roles: [Role; 2],
    certificates: [&[u8]; 2],
) -> Result<LinkSecret, String> {
    let mut context = Vec::new();
    for role in roles {
        context.extend_from_slice(role.as_str().as_bytes());
        context.push(0);
    }
    certificates.iter().for_each(|c| context.extend_from_slice(&Sha256::digest(c)));

    let mut bytes = tls
        .export_keying_material([0u8; 32], b"EXPORTER-securemodel-link", Some(&context))
        .map_err(|e| e.to_string())?;
    let secret = LinkSecret(bytes);
    bytes.zeroize();
    Ok(secret)
}

fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;

    // a peer whose machine is gone sends nothing: noticed within the user timeout, even between
    // batches; once the link serves a program that is the silence of that program (`start`)
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(2))
        .with_interval(Duration::from_secs(1));
    socket2::SockRef::from(socket).set_tcp_keepalive(&keepalive)?;
    socket2::SockRef::from(socket).set_tcp_user_timeout(Some(DEADLINE))
}
