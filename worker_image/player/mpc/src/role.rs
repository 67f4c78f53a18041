//! The three roles. Players' names are free; roles go by position in the cluster config
//! (docs/wire.md).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a party does in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Data player; leads: forms and announces batches.
    Alice,
    /// Data player.
    Bob,
    /// Helper: deals correlated randomness, never meets a client or an input.
    Carol,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Alice, Role::Bob, Role::Carol];

    /// The two others, in the order of `ALL`.
    pub fn peers(self) -> [Role; 2] {
        match self {
            Role::Alice => [Role::Bob, Role::Carol],
            Role::Bob => [Role::Alice, Role::Carol],
            Role::Carol => [Role::Alice, Role::Bob],
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Alice => "alice",
            Role::Bob => "bob",
            Role::Carol => "carol",
        }
    }

    /// Whether clients talk to this role.
    pub fn holds_data(self) -> bool {
        self != Role::Carol
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is not a role.
#[derive(Debug, thiserror::Error)]
#[error("unknown role {0:?}; roles are alice, bob, carol")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(s: &str) -> Result<Role, UnknownRole> {
        Role::ALL.into_iter().find(|r| r.as_str() == s).ok_or_else(|| UnknownRole(s.into()))
    }
}
