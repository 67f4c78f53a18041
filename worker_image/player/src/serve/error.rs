//! Errors as clients see them: a stable code, a status, and whether to try again.

use crate::mpc::ChannelError;
use crate::net::mesh::Ending;

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

impl Code {
    /// Status, name, retryable: the table in docs/wire.md.
    pub fn row(self) -> (u16, &'static str, bool) {
        match self {
            Code::BadRequest => (400, "bad_request", false),
            Code::WrongShape => (400, "wrong_shape", false),
            Code::DuplicateId => (409, "duplicate_id", false),
            Code::TooLarge => (413, "too_large", false),
            Code::NotFound => (404, "not_found", false),
            Code::Forbidden => (403, "forbidden", false),
            Code::BadShares => (422, "bad_shares", false),
            Code::NotReady => (503, "not_ready", true),
            Code::EpochEnded => (503, "epoch_ended", true),
            Code::ShareMissing => (504, "share_missing", true),
            Code::PeerStalled => (504, "peer_stalled", true),
            Code::Overloaded => (429, "overloaded", true),
        }
    }
}

#[derive(Clone, Debug)]
pub struct ApiError {
    pub code: Code,
    pub message: String,
}

impl ApiError {
    pub fn new(code: Code, message: impl Into<String>) -> ApiError {
        ApiError { code, message: message.into() }
    }
}

/// What a request that waits or runs is told when its epoch ends.
impl From<&Ending> for ApiError {
    fn from(why: &Ending) -> ApiError {
        let code = if matches!(why, Ending::Peer(ChannelError::Stalled(_))) { Code::PeerStalled } else { Code::EpochEnded };
        ApiError::new(code, format!("{why}; send the request again with fresh shares"))
    }
}
