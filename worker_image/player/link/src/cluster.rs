//! The cluster config: who the three players are and where they listen (docs/wire.md, Cluster
//! config).

use std::path::Path;

use securemodel_mpc::role::Role;

/// Why a cluster config cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("cannot read {path}: {why}")]
    File { path: String, why: String },
    #[error(
        "the cluster config {path} must be a JSON object of three players, \
         name to host:port: {why}"
    )]
    Form { path: String, why: String },
    #[error(
        "player {player:?} is not in the cluster config, which has {known}; \
         --player takes one of these"
    )]
    UnknownPlayer { player: String, known: String },
}

/// The three players by role.
#[derive(Clone, Debug)]
pub struct Cluster {
    players: [(String, String); 3],
}

impl Cluster {
    /// Reads TF Encrypted's RemoteConfig form.
    pub fn load(path: &Path) -> Result<Cluster, ClusterError> {
        let refuse = |why: String| ClusterError::Form { path: path.display().to_string(), why };
        let text = std::fs::read(path).map_err(|e| ClusterError::File {
            path: path.display().to_string(),
            why: e.to_string(),
        })?;
        let map: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&text).map_err(|e| refuse(e.to_string()))?;

        let players: Option<Vec<(String, String)>> = map
            .into_iter()
            .map(|(name, address)| Some((name, address.as_str()?.to_owned())))
            .collect();
        let players = players.ok_or_else(|| refuse("an address is not a string".into()))?;
        let count = players.len();
        let players: [(String, String); 3] =
            players.try_into().map_err(|_| refuse(format!("it has {count} players")))?;

        if let Some((name, address)) = players.iter().find(|(_, address)| split(address).is_none())
        {
            return Err(refuse(format!("{name}'s address {address:?} is not host:port")));
        }
        Ok(Cluster { players })
    }

    /// The role that a player's position gives it.
    pub fn role(&self, player: &str) -> Result<Role, ClusterError> {
        let known =
            || self.players.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let at = self.players.iter().position(|(name, _)| name == player);
        at.map(|i| Role::ALL[i])
            .ok_or_else(|| ClusterError::UnknownPlayer { player: player.into(), known: known() })
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

    fn load(text: &str) -> Result<Cluster, ClusterError> {
        let path =
            std::env::temp_dir().join(format!("cluster-{}-{:p}.json", std::process::id(), text));
        std::fs::write(&path, text).expect("written");
        let cluster = Cluster::load(&path);
        std::fs::remove_file(&path).expect("removed");
        cluster
    }

    #[test]
    fn roles_go_by_position_and_names_are_free() {
        let cluster =
            load(r#"{"zoe": "zoe.svc:8443", "alice": "[::1]:1", "bob": "127.0.0.1:65535"}"#)
                .expect("valid");
        assert_eq!(
            (cluster.role("zoe").expect("known"), cluster.role("alice").expect("known")),
            (Role::Alice, Role::Bob)
        );
        assert_eq!((cluster.name(Role::Carol), cluster.address(Role::Bob)), ("bob", ("::1", 1)));
        let unknown = cluster.role("dave").expect_err("unknown").to_string();
        assert!(unknown.contains("dave") && unknown.contains("zoe, alice, bob"), "{unknown}");
    }

    #[test]
    fn a_config_that_is_not_three_addresses_is_refused() {
        for text in [
            "",
            "[]",
            r#"{"a": "h:1", "b": "h:2"}"#,
            r#"{"a": "h:1", "b": "h:2", "c": 3}"#,
            r#"{"a": "h:1", "b": "h", "c": ":3"}"#,
        ] {
            assert!(load(text).is_err(), "{text}");
        }
    }
}
