//! The protocols that players can run (docs/protocol.md). The share step chooses one for a model;
//! the share files say which.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A protocol by the name that everybody uses: the API, share files, HELLO, `/status` and a model's
/// metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProtocolName {
    /// Comparison by a boolean tree on masked bits: fewer bytes.
    #[serde(rename = "ASTRA")]
    Astra,
    /// Comparison by the helper's private compare: fewer rounds.
    #[serde(rename = "SecureNN")]
    SecureNn,
}

impl ProtocolName {
    pub const ALL: [ProtocolName; 2] = [ProtocolName::Astra, ProtocolName::SecureNn];

    pub fn as_str(self) -> &'static str {
        match self {
            ProtocolName::Astra => "ASTRA",
            ProtocolName::SecureNn => "SecureNN",
        }
    }

    /// All names, for a message.
    pub(crate) fn names(between: &str) -> String {
        ProtocolName::ALL.map(ProtocolName::as_str).join(between)
    }
}

impl fmt::Display for ProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is not a protocol's.
#[derive(Debug, thiserror::Error)]
#[error("unknown protocol {0:?}; protocols are {names}", names = ProtocolName::names(", "))]
pub struct UnknownProtocol(String);

impl FromStr for ProtocolName {
    type Err = UnknownProtocol;

    fn from_str(s: &str) -> Result<ProtocolName, UnknownProtocol> {
        ProtocolName::ALL
            .into_iter()
            .find(|p| p.as_str() == s)
            .ok_or_else(|| UnknownProtocol(s.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_has_one_spelling_everywhere() {
        for protocol in ProtocolName::ALL {
            assert_eq!(protocol.as_str().parse::<ProtocolName>().expect("known"), protocol);
            assert_eq!(serde_json::to_value(protocol).expect("JSON"), protocol.as_str());
            assert_eq!(
                serde_json::from_value::<ProtocolName>(protocol.as_str().into()).expect("known"),
                protocol
            );
        }
        for other in ["", "astra", "SecureNn", "ABY3"] {
            assert!(
                other
                    .parse::<ProtocolName>()
                    .expect_err("unknown")
                    .to_string()
                    .contains("ASTRA, SecureNN"),
                "{other}"
            );
        }
    }
}
