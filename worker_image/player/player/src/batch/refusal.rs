//! Why a request is refused or fails.

use crate::listed::listed;
use securemodel_link::mesh::Ending;
use securemodel_mpc::ChannelError;

listed! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Code {
        BadRequest,
        WrongShape,
        DuplicateId,
        TooLarge,
        NotFound,
        Forbidden,
        BadShares,
        NotReady,
        EpochEnded,
        ShareMissing,
        PeerStalled,
        Overloaded,
    }
}

#[derive(Clone, Debug)]
pub struct Refusal {
    pub code: Code,
    /// What is wrong, and the next step.
    pub message: String,
}

impl Refusal {
    pub fn new(code: Code, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }
}

/// What a request that waits or runs is told when its epoch ends.
impl From<&Ending> for Refusal {
    fn from(why: &Ending) -> Refusal {
        let stalled = matches!(why, Ending::Peer(ChannelError::Stalled(_)));
        let code = if stalled { Code::PeerStalled } else { Code::EpochEnded };
        Refusal::new(code, format!("{why}; send the request again with fresh shares"))
    }
}
