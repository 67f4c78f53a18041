//! The state that the engine, the network and the servers of one player share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tracing::{error, info};

use crate::config::{Args, Cluster, ConfigError};
use crate::net::link::locked;
use crate::net::mesh::{Mesh, Observer};
use crate::net::tls::{Holder, Tls};
use crate::role::Role;
use crate::serve::error::{ApiError, Code};
use crate::serve::requests::Requests;
use crate::shares::Shares;
use crate::store::{Store, StoreError};

/// What `/status` and `/metrics` count; since the start of the process.
#[derive(Default)]
pub struct Counters {
    pub batches: AtomicU64,
    pub rows: AtomicU64,
    pub requests: AtomicU64,
    pub errors: AtomicU64,
    pub bytes_sent: AtomicU64,
    pub bytes_received: AtomicU64,
    /// Of the last batch: the longest chain of messages, client to client.
    pub hops: AtomicU64,
}

impl Counters {
    pub fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }
}

pub struct Player {
    pub role: Role,
    pub name: String,
    pub cluster: Cluster,
    pub tls: Arc<Tls>,
    pub mesh: Arc<Mesh>,
    pub requests: Arc<Requests>,
    pub counters: Counters,
    pub max_rows: usize,
    store: Store,
    shares: Mutex<Option<Arc<Shares>>>,
}

/// Hears of epochs for the request queue.
struct Queue(Arc<Requests>);

impl Observer for Queue {
    fn epoch_ended(&self) {
        self.0.fail_all(&ApiError::new(Code::EpochEnded, "the players lost their links; send the request again with fresh shares"));
    }

    fn waiting(&self, payload: &[u8]) -> Result<(), String> {
        if payload.len() % 20 != 0 {
            return Err("a WAITING frame is made of 20-byte entries".into());
        }
        self.0.peer_holds(payload.chunks_exact(20).map(crate::engine::entry));
        Ok(())
    }
}

impl Player {
    /// Reads the configuration and the shares kept on the volume; nothing listens or dials yet.
    pub fn new(args: &Args) -> Result<Arc<Player>, ConfigError> {
        let cluster = Cluster::load(&args.cluster)?;
        let role = cluster.role(&args.player)?;
        let tls = Arc::new(Tls::load(&args.tls)?);
        if tls.identity.holder != Holder::Player(role) {
            let certificate = tls.identity.to_string();
            return Err(ConfigError::WrongCertificate { player: args.player.clone(), position: role, certificate });
        }
        let requests = Arc::new(Requests::default());
        let mesh = Mesh::new(role, cluster.clone(), tls.clone(), Arc::new(Queue(requests.clone())));
        let store = Store::new(args.data.clone(), role);
        let shares = store.load().unwrap_or_else(|e| {
            error!("the share file on the volume cannot be used, waiting for a new one: {e}");
            None
        });
        let player = Arc::new(Player {
            role,
            name: args.player.clone(),
            cluster,
            tls,
            mesh,
            requests,
            counters: Counters::default(),
            max_rows: args.max_rows as usize,
            store,
            shares: Mutex::new(None),
        });
        if let Some(shares) = shares {
            player.use_shares(shares);
        }
        Ok(player)
    }

    pub fn shares(&self) -> Option<Arc<Shares>> {
        locked(&self.shares).clone()
    }

    /// A delivered share file: kept on the volume, then used.
    pub fn replace_shares(&self, bytes: &[u8]) -> Result<Arc<Shares>, StoreError> {
        Ok(self.use_shares(self.store.replace(bytes)?))
    }

    fn use_shares(&self, shares: Shares) -> Arc<Shares> {
        let (digest, generation) = (hex::encode(shares.digest), hex::encode(shares.generation));
        info!(digest, generation, "shares loaded");
        let shares = Arc::new(shares);
        *locked(&self.shares) = Some(shares.clone());
        self.mesh.set_shares(Some((digest, generation)));
        shares
    }

    pub fn model(&self) -> &str {
        &self.tls.identity.model
    }
}
