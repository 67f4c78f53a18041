//! The two links of this player and the epoch they are in: dials, accepts, agrees, and ends the epoch when a link is lost.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};

use super::epoch::{epoch_id_seen_by, EpochId, LinkId};
use super::frame::{Frame, Header, Kind};
use super::link::{locked, Link, Listener};
use super::tls::{Holder, Identity, Tls};
use crate::config::Cluster;
use crate::mpc::ChannelError;
use crate::role::Role;

const CONNECT: Duration = Duration::from_secs(2);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LAST_BACKOFF: Duration = Duration::from_secs(2);
const WIRE_VERSION: u32 = 1;

/// What a player says of itself when a link comes up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub version: u32,
    pub role: Role,
    pub protocol: String,
    pub digest: Option<String>,
    pub generation: Option<String>,
}

/// An epoch that all three have confirmed; the links are in the order of `role.peers()`.
pub struct Epoch {
    pub id: EpochId,
    pub links: [Arc<Link>; 2],
}

/// Who hears of epochs and of waiting shares.
pub trait Observer: Send + Sync {
    fn epoch_ended(&self);
    /// bob holds his shares of these requests (alice only).
    fn waiting(&self, payload: &[u8]) -> Result<(), String>;
}

struct Slot {
    link: Arc<Link>,
    hello: Option<Hello>,
    /// The id of the peer's other link, as it says; and what we told it of ours.
    theirs: Option<LinkId>,
    told: Option<LinkId>,
    confirmation: Option<Vec<u8>>,
}

#[derive(Default)]
struct State {
    slots: [Option<Slot>; 2],
    candidate: Option<EpochId>,
    epoch: Option<Arc<Epoch>>,
    shares: Option<(String, String)>,
}

pub struct Mesh {
    role: Role,
    cluster: Cluster,
    tls: Arc<Tls>,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
    changed: Condvar,
    this: Weak<Mesh>,
}

/// Why the trio cannot serve, as `/status` reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    NoShares,
    PeersMissing(Vec<Role>),
    /// A peer, and what it holds instead.
    DigestMismatch(Role),
    GenerationMismatch(Role),
}

impl Mesh {
    pub fn new(role: Role, cluster: Cluster, tls: Arc<Tls>, observer: Arc<dyn Observer>) -> Arc<Mesh> {
        Arc::new_cyclic(|this| Mesh { role, cluster, tls, observer, state: Mutex::default(), changed: Condvar::new(), this: this.clone() })
    }

    /// Starts dialing the peers that this role dials: bob alice; carol alice and bob.
    pub fn start(self: &Arc<Mesh>) {
        for peer in self.role.peers().into_iter().filter(|peer| *peer < self.role) {
            let mesh = self.clone();
            std::thread::spawn(move || mesh.dial(peer));
        }
    }

    /// This player's shares changed: the epoch ends, the links come up again with a new HELLO.
    pub fn set_shares(&self, shares: Option<(String, String)>) {
        let mut state = locked(&self.state);
        state.shares = shares;
        self.end(&mut state, "this player's shares were replaced");
    }

    /// Ends the epoch if it is still this one.
    pub fn end_epoch(&self, id: &EpochId, why: &str) {
        let mut state = locked(&self.state);
        if state.epoch.as_ref().is_some_and(|epoch| epoch.id == *id) {
            self.end(&mut state, why);
        }
    }

    /// The confirmed epoch, if there is one, or the next within this time.
    pub fn epoch(&self, wait: Duration) -> Option<Arc<Epoch>> {
        let end = Instant::now() + wait;
        let mut state = locked(&self.state);
        loop {
            if state.epoch.is_some() {
                return state.epoch.clone();
            }
            let left = end.checked_duration_since(Instant::now())?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn readiness(&self) -> Readiness {
        let state = locked(&self.state);
        let Some((digest, generation)) = &state.shares else { return Readiness::NoShares };
        let peers = self.role.peers();
        if state.epoch.is_none() {
            let missing: Vec<Role> = peers.into_iter().zip(&state.slots).filter(|(_, slot)| slot.is_none()).map(|(peer, _)| peer).collect();
            return Readiness::PeersMissing(if missing.is_empty() { peers.to_vec() } else { missing });
        }
        for (peer, slot) in peers.into_iter().zip(&state.slots) {
            let Some(hello) = slot.as_ref().and_then(|slot| slot.hello.as_ref()) else { return Readiness::PeersMissing(vec![peer]) };
            if hello.digest.as_ref() != Some(digest) {
                return Readiness::DigestMismatch(peer);
            }
            if hello.generation.as_ref() != Some(generation) {
                return Readiness::GenerationMismatch(peer);
            }
        }
        Readiness::Ready
    }

    /// Whether each peer is linked, in the order of `role.peers()`.
    pub fn linked(&self) -> [bool; 2] {
        locked(&self.state).slots.each_ref().map(Option::is_some)
    }

    /// A dialer's connection with ALPN `securemodel-peer/1`, handshake done.
    pub fn accept(&self, tls: rustls::ServerConnection, socket: TcpStream) -> Result<(), String> {
        let certificate = tls.peer_certificates().and_then(|chain| chain.first()).ok_or("a peer without a certificate")?.clone();
        let identity = Identity::of(&certificate)?;
        let Holder::Player(peer) = identity.holder else { return Err(format!("{identity} may not be a peer")) };
        if identity != self.tls.identity.with(Holder::Player(peer)) || peer <= self.role {
            return Err(format!("{identity} may not dial {}", self.tls.identity));
        }
        let link = Link::new(peer, tls.into(), socket, [peer, self.role], [&certificate, &self.tls.certificate])?;
        self.up(link);
        Ok(())
    }

    fn dial(&self, peer: Role) {
        let (mut backoff, mut reported) = (FIRST_BACKOFF, String::new());
        loop {
            if self.slot_of(peer) {
                let state = locked(&self.state);
                drop(self.changed.wait_timeout(state, Duration::from_millis(200)));
                continue;
            }
            match self.connect(peer) {
                Ok(link) => {
                    (backoff, reported) = (FIRST_BACKOFF, String::new());
                    self.up(link);
                }
                Err(why) => {
                    if why != reported {
                        warn!(peer = self.cluster.name(peer), "cannot reach the peer, trying again: {why}");
                        reported = why;
                    }
                    std::thread::sleep(backoff);
                    backoff = (backoff * 2).min(LAST_BACKOFF);
                }
            }
        }
    }

    fn slot_of(&self, peer: Role) -> bool {
        locked(&self.state).slots[self.index(peer)].is_some()
    }

    fn index(&self, peer: Role) -> usize {
        usize::from(self.role.peers()[1] == peer)
    }

    fn connect(&self, peer: Role) -> Result<Arc<Link>, String> {
        let (host, port) = self.cluster.address(peer);
        let address = (host, port).to_socket_addrs().map_err(|e| format!("{host}: {e}"))?.next().ok_or_else(|| format!("{host} has no address"))?;
        let mut socket = TcpStream::connect_timeout(&address, CONNECT).map_err(|e| format!("{host}:{port}: {e}"))?;
        let _ = socket.set_nodelay(true);
        let _ = socket.set_read_timeout(Some(CONNECT));
        let name = ServerName::try_from(host.to_owned()).map_err(|e| format!("{host}: {e}"))?;
        let mut tls = rustls::ClientConnection::new(self.tls.dialer.clone(), name).map_err(|e| e.to_string())?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).map_err(|e| format!("TLS with {host}:{port}: {e}"))?;
        }
        let certificate = tls.peer_certificates().and_then(|chain| chain.first()).ok_or("no certificate")?.clone();
        let (identity, expected) = (Identity::of(&certificate)?, self.tls.identity.with(Holder::Player(peer)));
        if identity != expected {
            return Err(format!("{host}:{port} is {identity}, expected {expected}"));
        }
        Link::new(peer, tls.into(), socket, [self.role, peer], [&self.tls.certificate, &certificate])
    }

    fn up(&self, link: Arc<Link>) {
        let Some(this) = self.this.upgrade() else { return };
        let mut state = locked(&self.state);
        let i = self.index(link.peer);
        if let Some(old) = state.slots[i].take() {
            old.link.close();
            if state.epoch.is_some() {
                self.end(&mut state, "a peer dialed again");
            }
        }
        info!(peer = self.cluster.name(link.peer), "linked");
        state.candidate = None;
        state.slots[i] = Some(Slot { link: link.clone(), hello: None, theirs: None, told: None, confirmation: None });
        let (digest, generation) = state.shares.clone().unzip();
        let hello = Hello { version: WIRE_VERSION, role: self.role, protocol: "ASTRA".into(), digest, generation };
        self.tell(&link, Kind::Hello, &serde_json::to_vec(&hello).unwrap_or_default());
        link.start(this);
        self.advance(&mut state);
    }

    /// Control frames are small; a peer that does not take them is lost, and its reader says so.
    fn tell(&self, link: &Arc<Link>, kind: Kind, payload: &[u8]) {
        if link.send(&Header::control(kind), payload).is_err() {
            link.close();
        }
    }

    /// Takes the agreement as far as it goes with what is known.
    fn advance(&self, state: &mut State) {
        if state.epoch.is_some() {
            return;
        }
        let [Some(first), Some(second)] = &mut state.slots else { return };
        let ids = [first.link.id, second.link.id];
        for (own, other) in [(&mut *first, ids[1]), (&mut *second, ids[0])] {
            if own.told != Some(other) {
                own.told = Some(other);
                self.tell(&own.link, Kind::Epoch, &other);
            }
        }
        if first.hello.is_none() || second.hello.is_none() {
            return;
        }
        let (Some(third), true) = (first.theirs, first.theirs == second.theirs) else { return };
        let id = epoch_id_seen_by(self.role, [&first.link.id, &second.link.id], &third);
        if state.candidate != Some(id) {
            state.candidate = Some(id);
            for slot in [&*first, &*second] {
                self.tell(&slot.link, Kind::Confirm, &slot.link.secret.confirmation(&id, self.role));
            }
        }
        let confirmed = |slot: &Slot| slot.confirmation.as_ref().is_some_and(|tag| slot.link.secret.confirms(&id, slot.link.peer, tag));
        if confirmed(first) && confirmed(second) {
            info!(epoch = hex::encode(id), "all three players are linked");
            state.epoch = Some(Arc::new(Epoch { id, links: [first.link.clone(), second.link.clone()] }));
            self.changed.notify_all();
        }
    }

    /// Closes both links. Only a confirmed epoch takes its other link down with it: while one is forming, a lost link is just replaced, or two players would keep
    /// closing each other's new links.
    fn end(&self, state: &mut State, why: &str) {
        for slot in &mut state.slots {
            if let Some(slot) = slot.take() {
                slot.link.close();
            }
        }
        state.candidate = None;
        if let Some(epoch) = state.epoch.take() {
            info!(epoch = hex::encode(epoch.id), "the epoch ended: {why}");
        }
        self.observer.epoch_ended();
        self.changed.notify_all();
    }
}

impl Listener for Mesh {
    fn control(&self, link: &Arc<Link>, frame: Frame) -> Result<(), String> {
        if frame.header.kind == Kind::Waiting {
            return if (self.role, link.peer) == (Role::Alice, Role::Bob) { self.observer.waiting(&frame.payload) } else { Err("WAITING is bob's to alice".into()) };
        }
        let mut state = locked(&self.state);
        let Some(slot) = state.slots[self.index(link.peer)].as_mut().filter(|slot| Arc::ptr_eq(&slot.link, link)) else { return Ok(()) };
        match frame.header.kind {
            Kind::Hello => {
                let hello: Hello = serde_json::from_slice(&frame.payload).map_err(|e| format!("HELLO: {e}"))?;
                if hello.version != WIRE_VERSION || hello.protocol != "ASTRA" || hello.role != link.peer {
                    return Err(format!("speaks version {} of {} as {}; run players of one release", hello.version, hello.protocol, hello.role));
                }
                slot.hello = Some(hello);
            }
            Kind::Epoch => {
                let theirs = Some(frame.payload.try_into().map_err(|_| "an EPOCH frame is 16 bytes")?);
                let changed = slot.theirs != theirs;
                slot.theirs = theirs;
                if changed && state.epoch.is_some() {
                    self.end(&mut state, "the peers have a new link");
                    return Ok(());
                }
            }
            Kind::Confirm => slot.confirmation = Some(frame.payload),
            _ => return Err("not a control frame".into()),
        }
        self.advance(&mut state);
        Ok(())
    }

    fn lost(&self, link: &Arc<Link>, why: &str) {
        let mut state = locked(&self.state);
        let i = self.index(link.peer);
        if !state.slots[i].as_ref().is_some_and(|slot| Arc::ptr_eq(&slot.link, link)) {
            debug!(peer = self.cluster.name(link.peer), "an old link closed: {why}");
            return;
        }
        warn!(peer = self.cluster.name(link.peer), "the link was lost: {why}");
        state.slots[i] = None;
        state.candidate = None;
        if state.epoch.is_some() {
            self.end(&mut state, "a link was lost");
        }
        self.changed.notify_all();
    }
}

/// The two links of an epoch as a batch uses them.
pub fn link_to(epoch: &Epoch, role: Role, peer: Role) -> Result<&Arc<Link>, ChannelError> {
    role.peers().iter().position(|p| *p == peer).map(|i| &epoch.links[i]).ok_or(ChannelError::Lost(peer))
}
