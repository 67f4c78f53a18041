//! The state that the engine, the network and the servers of one player share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::{error, info};

use crate::batch::request::MaskedShare;
use crate::batch::requests::Requests;
use crate::batch::Engine;
use crate::config::{Args, ConfigError};
use crate::metrics::Counters;
use crate::model::Loaded;
use crate::reason::Reason;
use crate::store::{Store, StoreError};
use securemodel_link::announce::{parse_waiting, Entry};
use securemodel_link::cluster::Cluster;
use securemodel_link::epoch::EpochId;
use securemodel_link::lock::locked;
use securemodel_link::mesh::{Ending, Mesh, Observer, Readiness};
use securemodel_link::offer::Offer;
use securemodel_link::tls::{Holder, Identity, Tls};
use securemodel_link::waker::Waker;
use securemodel_mpc::role::Role;
use securemodel_mpc::share_file::Shares;

pub struct Player {
    pub role: Role,
    pub name: String,
    pub cluster: Cluster,
    pub tls: Arc<Tls>,
    pub mesh: Arc<Mesh<Loaded>>,
    pub requests: Arc<Requests>,
    pub counters: Arc<Counters>,
    pub store: Store,
    max_rows: usize,
    batch_delay: Duration,
    /// Why the share file on the volume is not used.
    broken: Mutex<Option<String>>,
    stopping: AtomicBool,
    /// HTTPS requests that are being answered.
    answering: AtomicUsize,
}

struct Answering<'a>(&'a AtomicUsize);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Tells the requests of epochs, and of the shares that bob announces as waiting; counts epochs.
struct RequestsObserver {
    requests: Arc<Requests>,
    counters: Arc<Counters>,
}

impl Observer for RequestsObserver {
    fn epoch_began(&self, id: EpochId) {
        Counters::add(&self.counters.epochs, 1);
        self.requests.open(id);
    }

    fn epoch_ended(&self, why: &Ending) {
        self.requests.close(&why.into());
    }

    fn waiting_received(&self, payload: &[u8]) -> Result<(), String> {
        let (Entry { id, rows, number }, share) = parse_waiting(payload)?;
        self.requests.peer_sent(id, MaskedShare { number, rows, share })
    }
}

impl Player {
    /// Reads the configuration and the shares kept on the volume; nothing listens or dials yet.
    pub fn new(args: &Args) -> Result<Arc<Player>, ConfigError> {
        let cluster = Cluster::load(&args.cluster)?;
        let role = cluster.role(&args.player)?;
        let tls = Arc::new(Tls::load(&args.tls)?);
        expect_certificate(&tls.identity, &args.player, role)?;

        let counters = Arc::new(Counters::default());
        let requests = Arc::new(Requests::new(role, Waker::new().map_err(ConfigError::Waker)?));
        let mesh = Mesh::new(
            role,
            cluster.clone(),
            tls.clone(),
            counters.traffic.clone(),
            Arc::new(RequestsObserver { requests: requests.clone(), counters: counters.clone() }),
        );
        let store = Store::new(args.data.clone(), role);
        let kept = store.load().inspect_err(|e| {
            error!("the share file on the volume cannot be used, waiting for a new one: {e}");
        });

        let player = Player {
            role,
            name: args.player.clone(),
            cluster,
            tls,
            mesh,
            requests,
            counters,
            store,
            max_rows: args.max_rows as usize,
            batch_delay: Duration::from_millis(args.batch_delay_ms),
            broken: Mutex::new(kept.as_ref().err().map(ToString::to_string)),
            stopping: AtomicBool::new(false),
            answering: AtomicUsize::new(0),
        };
        if let Ok(Some(shares)) = kept {
            player.load(shares);
        }
        Ok(Arc::new(player))
    }

    /// What batches of this player are run with.
    pub fn engine(&self) -> Arc<Engine> {
        let (mesh, requests, counters) =
            (self.mesh.clone(), self.requests.clone(), self.counters.clone());
        Arc::new(Engine { role: self.role, mesh, requests, counters, delay: self.batch_delay })
    }

    /// Uses a delivered share file that was written aside (`Store::aside`).
    pub fn adopt(&self) -> Result<Arc<Loaded>, StoreError> {
        Ok(self.load(self.store.adopt()?))
    }

    fn load(&self, shares: Shares) -> Arc<Loaded> {
        let loaded = Arc::new(Loaded::new(shares, self.max_rows));
        info!(
            digest = loaded.digest(),
            generation = loaded.generation(),
            max_rows = loaded.max_rows,
            batch_seconds = loaded.patience.batch.as_secs(),
            "shares loaded"
        );
        *locked(&self.broken) = None;
        self.requests.expect(loaded.patience.batch);
        self.mesh.set_offer(loaded.clone());
        loaded
    }

    pub fn model(&self) -> &str {
        &self.tls.identity.model
    }

    /// Counts an HTTPS request as being answered until the guard is dropped.
    pub fn begin_answer(&self) -> impl Drop + '_ {
        self.answering.fetch_add(1, Ordering::SeqCst);
        Answering(&self.answering)
    }

    pub fn answering(&self) -> usize {
        self.answering.load(Ordering::SeqCst)
    }

    /// From now on nothing new is accepted.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The reason and the message of `/status`.
    pub fn describe(&self, readiness: &Readiness) -> (Reason, String) {
        let name = |role: &Role| self.cluster.name(*role);
        match readiness {
            Readiness::Ready => (Reason::Serving, "serving".into()),
            Readiness::NoShares => self.describe_no_shares(),
            Readiness::PeersMissing(missing) => {
                (Reason::PeersMissing, self.describe_missing(missing))
            }
            Readiness::DigestMismatch(role) => (
                Reason::DigestMismatch,
                format!(
                    "{} has another program, or no shares yet; share the model again if this stays",
                    name(role)
                ),
            ),
            Readiness::ProtocolMismatch(role) => (
                Reason::ProtocolMismatch,
                format!(
                    "{} has shares for another protocol; share the model again if this stays",
                    name(role)
                ),
            ),
            Readiness::GenerationMismatch(role) => (
                Reason::GenerationMismatch,
                format!(
                    "{} has shares of another generation; share the model again if this stays",
                    name(role)
                ),
            ),
        }
    }

    fn describe_no_shares(&self) -> (Reason, String) {
        match &*locked(&self.broken) {
            Some(why) => {
                let message = format!("the share file on the volume cannot be used: {why}");
                (Reason::SharesUnreadable, message)
            }
            None => (Reason::NoShares, "no shares have been delivered yet".into()),
        }
    }

    fn describe_missing(&self, missing: &[Role]) -> String {
        let names = |roles: &[Role]| {
            let names: Vec<&str> = roles.iter().map(|role| self.cluster.name(*role)).collect();
            names.join(" and ")
        };
        if missing.is_empty() {
            let peers = names(&self.role.peers());
            return format!("linked with {peers}, waiting for them to link with each other");
        }
        format!("not linked with {}", names(missing))
    }
}

fn expect_certificate(identity: &Identity, player: &str, role: Role) -> Result<(), ConfigError> {
    if identity.holder == Holder::Player(role) {
        return Ok(());
    }
    Err(ConfigError::WrongCertificate {
        player: player.into(),
        position: role,
        certificate: identity.to_string(),
    })
}
