//! What a player is started with, and why it cannot start.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{value_parser, Parser};

use securemodel_link::cluster::ClusterError;
use securemodel_link::tls::TlsError;
use securemodel_mpc::role::Role;

/// One of the three players of a SecureModel: keeps its shares of a model and answers private
/// predictions together with the other two.
#[derive(Parser, Clone, Debug)]
#[command(version, about)]
pub struct Args {
    /// This player's name in the cluster config
    #[arg(long, env = "SECUREMODEL_PLAYER")]
    pub player: String,
    /// Cluster config: a JSON object, player name to host:port, in the order alice, bob, carol
    #[arg(long, env = "SECUREMODEL_CLUSTER")]
    pub cluster: PathBuf,
    /// Folder with ca.crt, tls.crt and tls.key
    #[arg(long, env = "SECUREMODEL_TLS")]
    pub tls: PathBuf,
    /// Folder that keeps the share file over restarts
    #[arg(long, env = "SECUREMODEL_DATA")]
    pub data: PathBuf,
    /// Address for peers, clients and the share step (TLS)
    #[arg(long, env = "SECUREMODEL_LISTEN", default_value = "0.0.0.0:8443")]
    pub listen: SocketAddr,
    /// Address for probes, metrics and status (plain HTTP, no secrets)
    #[arg(long, env = "SECUREMODEL_HEALTH", default_value = "0.0.0.0:8080")]
    pub health: SocketAddr,
    /// Most rows of one batch, and of one request
    #[arg(long, env = "SECUREMODEL_MAX_ROWS", default_value_t = 256)]
    #[arg(value_parser = value_parser!(u32).range(1..=65536))]
    pub max_rows: u32,
    /// How long a request may wait for others to share its batch, in milliseconds (alice)
    #[arg(long, env = "SECUREMODEL_BATCH_DELAY_MS", default_value_t = 0)]
    #[arg(value_parser = value_parser!(u64).range(0..=1000))]
    pub batch_delay_ms: u64,
    /// Log filter: error, warn, info, debug, or a tracing filter
    #[arg(long, env = "SECUREMODEL_LOG", default_value = "info")]
    pub log: String,
}

/// Why a player cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(
        "player {player:?} is {position} in the cluster config, but its certificate was issued for \
         {certificate}; mount the Secret of this player"
    )]
    WrongCertificate { player: String, position: Role, certificate: String },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot listen on {address}: {why}")]
    Listen { address: SocketAddr, why: std::io::Error },
    #[error("cannot make an eventfd: {0}")]
    Waker(std::io::Error),
    #[error("cannot handle signals: {0}")]
    Signals(std::io::Error),
}
