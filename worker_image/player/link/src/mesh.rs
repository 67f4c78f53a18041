//! The two links of this player and the epoch they are in: dials, accepts, and carries out what
//! `agreement` decides.

use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use tracing::{debug, error, info, warn};

use super::agreement::{Agreement, Event, Hello};
use super::cluster::Cluster;
use super::dial::{dial, Dialed};
use super::epoch::EpochId;
use super::frame::{Frame, Header, Kind};
use super::link::{Fault, Link, Owner, DEADLINE};
use super::links::Links;
use super::lock::locked;
use super::offer::Offer;
use super::tls::{Holder, Identity, Tls};
use super::traffic::Traffic;
use securemodel_mpc::role::Role;
use securemodel_mpc::ChannelError;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LAST_BACKOFF: Duration = Duration::from_secs(2);
/// A peer's fault that recurs within this time is not logged again.
const REPEAT: Duration = Duration::from_secs(60);

/// An epoch that both peers have confirmed; the links are in the order of `role.peers()`.
pub struct Epoch<M> {
    pub id: EpochId,
    pub links: Links<2>,
    /// What this epoch serves: all three have said that they hold shares of this digest and
    /// generation. Other shares end the epoch.
    pub serving: Result<Arc<M>, Readiness>,
    /// Why it ended; set before its links are closed.
    pub ended: OnceLock<Ending>,
}

impl<M> Epoch<M> {
    pub fn link(&self, peer: Role) -> Result<&Arc<Link>, ChannelError> {
        self.links.iter().find(|link| link.peer == peer).ok_or(ChannelError::Lost(peer))
    }
}

/// Why an epoch ended, as everyone who waits on it is told. The first cause counts, not what
/// follows from it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Ending {
    #[error(transparent)]
    Peer(ChannelError),
    #[error("{0} dialed again")]
    DialedAgain(Role),
    #[error("{0} has a new link to the third player")]
    Relinked(Role),
    #[error("this player was given new shares")]
    NewShares,
}

/// Why the trio cannot serve, as `/status` reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    NoShares,
    /// Not linked with these; empty: linked with both, but the three do not agree on an epoch yet.
    PeersMissing(Vec<Role>),
    /// A peer that holds something else, or nothing.
    ProtocolMismatch(Role),
    DigestMismatch(Role),
    GenerationMismatch(Role),
}

/// Is told of epochs and of waiting shares. Called under the mesh's lock, and so in order.
pub trait Observer: Send + Sync {
    fn epoch_began(&self, id: EpochId);
    fn epoch_ended(&self, why: &Ending);
    /// alice: a WAITING frame of bob's.
    fn waiting_received(&self, payload: &[u8]) -> Result<(), String>;
}

struct State<M> {
    links: [Option<Arc<Link>>; 2],
    agreement: Agreement,
    epoch: Option<Arc<Epoch<M>>>,
    offer: Option<Arc<M>>,
    /// What was last logged about each peer's link, and when, so that it is not repeated.
    reported: [Option<(String, Instant)>; 2],
}

pub struct Mesh<M> {
    role: Role,
    cluster: Cluster,
    tls: Arc<Tls>,
    traffic: Arc<Traffic>,
    observer: Arc<dyn Observer>,
    state: Mutex<State<M>>,
    changed: Condvar,
    this: Weak<Mesh<M>>,
}

impl<M: Offer> Mesh<M> {
    pub fn new(
        role: Role,
        cluster: Cluster,
        tls: Arc<Tls>,
        traffic: Arc<Traffic>,
        observer: Arc<dyn Observer>,
    ) -> Arc<Mesh<M>> {
        let state = State {
            links: [None, None],
            agreement: Agreement::new(role),
            epoch: None,
            offer: None,
            reported: [None, None],
        };
        let state = Mutex::new(state);

        Arc::new_cyclic(|this| Mesh {
            role,
            cluster,
            tls,
            traffic,
            observer,
            state,
            changed: Condvar::new(),
            this: this.clone(),
        })
    }

    /// Starts dialing the peers that this role dials: bob alice; carol alice and bob.
    pub fn start(self: &Arc<Mesh<M>>) {
        for peer in self.role.peers().into_iter().filter(|peer| *peer < self.role) {
            let mesh = self.clone();
            std::thread::spawn(move || mesh.keep_dialing(peer));
        }
    }

    /// This player has other shares: the epoch ends, the links come up again with a new HELLO.
    pub fn set_offer(&self, offer: Arc<M>) {
        let mut state = locked(&self.state);
        state.offer = Some(offer);
        self.end(&mut state, &Ending::NewShares);
    }

    /// What this player offers.
    pub fn offer(&self) -> Option<Arc<M>> {
        locked(&self.state).offer.clone()
    }

    /// Ends this epoch, unless it has ended already, and logs whose fault that was. Returns why it
    /// ended: another cause may have come first.
    pub fn end_epoch(&self, epoch: &Epoch<M>, error: ChannelError) -> Ending {
        let mut state = locked(&self.state);
        if let Some(before) = epoch.ended.get() {
            return before.clone();
        }
        match error.peer() {
            Some(peer) => self.report(&mut state, self.index(peer), &error.to_string()),
            None => error!("{error}"),
        }
        let why = Ending::Peer(error);
        self.end(&mut state, &why);
        why
    }

    /// The confirmed epoch.
    pub fn epoch(&self) -> Option<Arc<Epoch<M>>> {
        locked(&self.state).epoch.clone()
    }

    /// The epoch that is serving, and what it serves; waits at most this long for one.
    pub fn serving(&self, wait: Duration) -> Option<(Arc<Epoch<M>>, Arc<M>)> {
        let end = Instant::now() + wait;
        let mut state = locked(&self.state);
        loop {
            if let Some((epoch, Ok(offer))) =
                state.epoch.as_ref().map(|epoch| (epoch, &epoch.serving))
            {
                return Some((epoch.clone(), offer.clone()));
            }
            let left = end.checked_duration_since(Instant::now())?;
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn readiness(&self) -> Readiness {
        let state = locked(&self.state);
        if state.offer.is_none() {
            return Readiness::NoShares;
        }
        match &state.epoch {
            Some(epoch) => {
                epoch.serving.as_ref().map_or_else(Readiness::clone, |_| Readiness::Ready)
            }
            None => {
                let missing = self
                    .role
                    .peers()
                    .into_iter()
                    .zip(&state.links)
                    .filter(|(_, link)| link.is_none());
                Readiness::PeersMissing(missing.map(|(peer, _)| peer).collect())
            }
        }
    }

    /// Whether each peer is linked, in the order of `role.peers()`.
    pub fn linked(&self) -> [bool; 2] {
        locked(&self.state).links.each_ref().map(Option::is_some)
    }

    /// Takes over a dialer's connection with ALPN `securemodel-peer/1` after its handshake.
    pub fn accept(&self, tls: rustls::ServerConnection, socket: TcpStream) -> Result<(), String> {
        let certificate = tls
            .peer_certificates()
            .and_then(|chain| chain.first())
            .ok_or("a peer without a certificate")?
            .clone();
        let peer = self.peer_of(&certificate)?;

        let certificates: [&[u8]; 2] = [&certificate, &self.tls.certificate];
        let roles = [peer, self.role];
        let traffic = self.traffic.clone();
        self.up(Link::new(peer, tls.into(), socket, roles, certificates, traffic)?);
        Ok(())
    }

    /// Which peer may dial this player with this certificate.
    fn peer_of(&self, certificate: &CertificateDer<'_>) -> Result<Role, String> {
        let identity = Identity::of(certificate)?;
        let Holder::Player(peer) = identity.holder else {
            return Err(format!("{identity} may not be a peer"));
        };
        if identity != self.tls.identity.with(Holder::Player(peer)) || peer <= self.role {
            return Err(format!("{identity} may not dial {}", self.tls.identity));
        }
        Ok(peer)
    }

    fn keep_dialing(&self, peer: Role) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            match self.dial(peer) {
                // a peer that refuses our certificate does so after our side of the handshake is
                // done, so only a HELLO counts as success
                Ok(link) => {
                    if self.up_to_its_end(&link) {
                        backoff = FIRST_BACKOFF;
                    }
                }
                Err(why) => self.report(
                    &mut locked(&self.state),
                    self.index(peer),
                    &format!("cannot be reached, trying again: {why}"),
                ),
            }

            std::thread::sleep(backoff);
            backoff = (backoff * 2).min(LAST_BACKOFF);
        }
    }

    fn dial(&self, peer: Role) -> Result<Arc<Link>, String> {
        let (host, port) = self.cluster.address(peer);
        let Dialed { tls, socket, certificate } = dial(&self.tls, peer, host, port)?;
        let certificates: [&[u8]; 2] = [&self.tls.certificate, &certificate];
        let roles = [self.role, peer];
        Link::new(peer, tls.into(), socket, roles, certificates, self.traffic.clone())
    }

    /// Runs the link until it is closed. Returns whether the peer has said HELLO.
    fn up_to_its_end(&self, link: &Arc<Link>) -> bool {
        self.up(link.clone());
        let i = self.index(link.peer);
        let mut state = locked(&self.state);
        let mut greeted = false;
        while is_current(&state.links[i], link) {
            greeted |= state.agreement.hello_of(i).is_some();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        greeted
    }

    fn index(&self, peer: Role) -> usize {
        usize::from(self.role.peers()[1] == peer)
    }

    fn up(&self, link: Arc<Link>) {
        let Some(this) = self.this.upgrade() else { return };
        let mut state = locked(&self.state);
        let i = self.index(link.peer);
        if let Some(old) = state.links[i].take() {
            old.close();
        }
        let again = Ending::DialedAgain(link.peer);
        if state.agreement.up(i, link.secret.clone()) == Event::Ended {
            self.close(&mut state, &again);
        }
        // also drops what a peer sent early, in an epoch that never began here
        self.observer.epoch_ended(&again);
        state.links[i] = Some(link.clone());

        let (hello, data_limit, silence) = match state.offer.as_deref() {
            Some(offer) => {
                (Hello::offering(self.role, offer), offer.max_message(), offer.silence())
            }
            None => (Hello::without_shares(self.role), 0, DEADLINE),
        };
        self.tell(&link, Kind::Hello, &serde_json::to_vec(&hello).unwrap_or_default());
        link.start(data_limit, silence, this);
        self.advance(&mut state);
        self.changed.notify_all();
    }

    /// Control frames are small; a peer that does not take them is lost, and its reader reports it.
    fn tell(&self, link: &Arc<Link>, kind: Kind, payload: &[u8]) {
        if link.send(&Header::control(kind), payload).is_err() {
            link.close();
        }
    }

    /// Takes the agreement as far as it can go.
    fn advance(&self, state: &mut State<M>) {
        for message in state.agreement.advance() {
            if let Some(link) = &state.links[message.side] {
                self.tell(link, message.kind, &message.payload);
            }
        }

        let (None, Some(id), [Some(first), Some(second)]) =
            (&state.epoch, state.agreement.agreed(), &state.links)
        else {
            return;
        };
        let links = Links([first.clone(), second.clone()]);
        self.begin(state, id, links);
    }

    /// All three have confirmed this epoch.
    fn begin(&self, state: &mut State<M>, id: EpochId, links: Links<2>) {
        let (serving, epoch) = (self.serves(state), hex::encode(id));
        match &serving {
            Ok(_) => {
                info!(epoch, "all three players are linked and hold the same shares: serving");
                self.observer.epoch_began(id);
                links.engage();
            }
            Err(why) => info!(epoch, "all three players are linked, not serving: {why:?}"),
        }
        state.epoch = Some(Arc::new(Epoch { id, links, serving, ended: OnceLock::new() }));
        self.changed.notify_all();
    }

    fn serves(&self, state: &State<M>) -> Result<Arc<M>, Readiness> {
        let offer = state.offer.clone().ok_or(Readiness::NoShares)?;
        for (i, peer) in self.role.peers().into_iter().enumerate() {
            let hello = state.agreement.hello_of(i).ok_or(Readiness::DigestMismatch(peer))?;
            // a peer without shares has no protocol either: that is the digest's case
            if hello.protocol.is_some_and(|protocol| protocol != offer.protocol()) {
                return Err(Readiness::ProtocolMismatch(peer));
            }
            if hello.digest.as_ref() != Some(&offer.digest()) {
                return Err(Readiness::DigestMismatch(peer));
            }
            if hello.generation.as_ref() != Some(&offer.generation()) {
                return Err(Readiness::GenerationMismatch(peer));
            }
        }
        Ok(offer)
    }

    /// Ends the epoch, or the one that is forming.
    fn end(&self, state: &mut State<M>, why: &Ending) {
        state.agreement.clear();
        self.close(state, why);
    }

    /// Closes both links, which the agreement has already forgotten.
    fn close(&self, state: &mut State<M>, why: &Ending) {
        if let Some(epoch) = state.epoch.take() {
            info!(epoch = hex::encode(epoch.id), "the epoch ended: {why}");
            let _ = epoch.ended.set(why.clone());
            self.observer.epoch_ended(why);
        }
        for link in state.links.iter_mut().filter_map(Option::take) {
            link.close();
        }
        self.changed.notify_all();
    }

    fn report(&self, state: &mut State<M>, side: usize, what: &str) {
        let peer = self.cluster.name(self.role.peers()[side]);
        let repeats =
            |(before, when): &(String, Instant)| before == what && when.elapsed() < REPEAT;
        if state.reported[side].as_ref().is_some_and(repeats) {
            return debug!(peer, "{what}");
        }

        warn!(peer, "{what}");
        state.reported[side] = Some((what.into(), Instant::now()));
    }
}

impl<M: Offer> Owner for Mesh<M> {
    fn control(&self, link: &Arc<Link>, frame: &Frame) -> Result<(), String> {
        let mut state = locked(&self.state);
        let i = self.index(link.peer);
        if !is_current(&state.links[i], link) {
            return Ok(());
        }

        let greeted = state.agreement.hello_of(i).is_some();
        if frame.header.kind == Kind::Waiting && greeted {
            return if (self.role, link.peer) == (Role::Alice, Role::Bob) {
                self.observer.waiting_received(&frame.payload)
            } else {
                Err("WAITING is bob's to alice".into())
            };
        }

        if state.agreement.receive(i, frame.header.kind, &frame.payload)? == Event::Ended {
            self.close(&mut state, &Ending::Relinked(link.peer));
            return Ok(());
        }
        if !greeted && state.agreement.hello_of(i).is_some() {
            info!(peer = self.cluster.name(link.peer), "linked");
            self.changed.notify_all();
        }
        self.advance(&mut state);
        Ok(())
    }

    /// alice may announce as soon as both have confirmed to her, so before the third has confirmed
    /// to us.
    fn early(&self, link: &Arc<Link>) -> Result<(), String> {
        let state = locked(&self.state);
        let i = self.index(link.peer);
        if is_current(&state.links[i], link)
            && (state.agreement.hello_of(i).is_none()
                || state.epoch.as_ref().is_some_and(|epoch| epoch.serving.is_err()))
        {
            return Err("data outside an epoch that serves".into());
        }
        Ok(())
    }

    fn lost(&self, link: &Arc<Link>, fault: &Fault) {
        let mut state = locked(&self.state);
        let i = self.index(link.peer);
        if !is_current(&state.links[i], link) {
            debug!(peer = self.cluster.name(link.peer), "an old link closed: {fault}");
            return;
        }
        self.report(&mut state, i, &format!("the link was lost: {fault}"));
        state.links[i] = None;
        if state.agreement.down(i) == Event::Ended {
            self.close(&mut state, &Ending::Peer(fault.of(link.peer)));
        }
        self.changed.notify_all();
    }
}

fn is_current(slot: &Option<Arc<Link>>, link: &Arc<Link>) -> bool {
    slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, link))
}
