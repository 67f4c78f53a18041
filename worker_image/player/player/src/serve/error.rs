//! Refusals as clients see them: a stable code, a status, and whether to try again.

use crate::batch::refusal::Code;

/// Status, name, retryable: the table in docs/wire.md.
pub fn row(code: Code) -> (u16, &'static str, bool) {
    match code {
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
