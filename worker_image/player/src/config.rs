//! What a player is started with: flags, the cluster config and its certificate's identity.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;

use crate::role::Role;

/// One of the three players of a SecureModel: keeps its shares of a model and answers private predictions together with the other two.
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
    #[arg(long, env = "SECUREMODEL_MAX_ROWS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub max_rows: u32,
    /// How long a request may wait for others to share its batch, in milliseconds (alice)
    #[arg(long, env = "SECUREMODEL_BATCH_DELAY_MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub batch_delay_ms: u64,
    /// Log filter: error, warn, info, debug, or a tracing filter
    #[arg(long, env = "SECUREMODEL_LOG", default_value = "info")]
    pub log: String,
}

/// Why a player cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {why}")]
    File { path: String, why: String },
    #[error("the cluster config {path} must be a JSON object of three players, name to host:port: {why}")]
    Cluster { path: String, why: String },
    #[error("player {player:?} is not in the cluster config, which has {known}; --player takes one of these")]
    UnknownPlayer { player: String, known: String },
    #[error(
        "player {player:?} is {position} in the cluster config, but its certificate was issued for {certificate}; mount the Secret of this player"
    )]
    WrongCertificate { player: String, position: Role, certificate: String },
    #[error("TLS files in {path}: {why}")]
    Tls { path: String, why: String },
    #[error("cannot listen on {address}: {why}")]
    Listen { address: SocketAddr, why: std::io::Error },
    #[error("cannot make an eventfd: {0}")]
    Waker(std::io::Error),
    #[error("cannot handle signals: {0}")]
    Signals(std::io::Error),
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|e| ConfigError::File { path: path.display().to_string(), why: e.to_string() })
}

/// The three players by role.
#[derive(Clone, Debug)]
pub struct Cluster {
    players: [(String, String); 3],
}

impl Cluster {
    /// Reads TF Encrypted's RemoteConfig form.
    pub fn load(path: &Path) -> Result<Cluster, ConfigError> {
        let refuse = |why: String| ConfigError::Cluster { path: path.display().to_string(), why };
        let map: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&read(path)?).map_err(|e| refuse(e.to_string()))?;
        let players: Option<Vec<(String, String)>> = map.into_iter().map(|(name, address)| Some((name, address.as_str()?.to_owned()))).collect();
        let players = players.ok_or_else(|| refuse("an address is not a string".into()))?;
        let count = players.len();
        let players: [(String, String); 3] = players.try_into().map_err(|_| refuse(format!("it has {count} players")))?;
        if let Some((name, address)) = players.iter().find(|(_, address)| split(address).is_none()) {
            return Err(refuse(format!("{name}'s address {address:?} is not host:port")));
        }
        Ok(Cluster { players })
    }

    /// The role that a player's position gives it.
    pub fn role(&self, player: &str) -> Result<Role, ConfigError> {
        let known = || self.players.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let at = self.players.iter().position(|(name, _)| name == player);
        at.map(|i| Role::ALL[i]).ok_or_else(|| ConfigError::UnknownPlayer { player: player.into(), known: known() })
    }

    pub fn name(&self, role: Role) -> &str {
        &self.players[role as usize].0
    }

    /// Host and port.
    pub fn address(&self, role: Role) -> (&str, u16) {
        split(&self.players[role as usize].1).unwrap_or(("", 0))
    }
}

fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']), port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Cluster, ConfigError> {
        let path = std::env::temp_dir().join(format!("cluster-{}-{:p}.json", std::process::id(), text));
        std::fs::write(&path, text).expect("written");
        let cluster = Cluster::load(&path);
        std::fs::remove_file(&path).expect("removed");
        cluster
    }

    #[test]
    fn roles_go_by_position_and_names_are_free() {
        let cluster = load(r#"{"zoe": "zoe.svc:8443", "alice": "[::1]:1", "bob": "127.0.0.1:65535"}"#).expect("valid");
        assert_eq!((cluster.role("zoe").expect("known"), cluster.role("alice").expect("known")), (Role::Alice, Role::Bob));
        assert_eq!((cluster.name(Role::Carol), cluster.address(Role::Bob)), ("bob", ("::1", 1)));
        let unknown = cluster.role("dave").expect_err("unknown").to_string();
        assert!(unknown.contains("dave") && unknown.contains("zoe, alice, bob"), "{unknown}");
    }

    #[test]
    fn a_config_that_is_not_three_addresses_is_refused() {
        for text in ["", "[]", r#"{"a": "h:1", "b": "h:2"}"#, r#"{"a": "h:1", "b": "h:2", "c": 3}"#, r#"{"a": "h:1", "b": "h", "c": ":3"}"#] {
            assert!(load(text).is_err(), "{text}");
        }
    }
}
