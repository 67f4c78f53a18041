//! Refusals as clients see them: a stable code, a status, and whether to try again.

use crate::batch::refusal::Code;

/// Status, name, retryable: as contract/error_codes.json and docs/wire.md have them.
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::{json, Value};

    use super::*;

    #[test]
    fn the_codes_are_those_of_the_contract() {
        let ours = Code::ALL.iter().map(|code| {
            let (status, name, retryable) = row(*code);
            json!({"code": name, "status": status, "retryable": retryable})
        });
        let contract = crate::contract("error_codes.json");
        let listed: HashSet<Value> =
            contract.as_array().expect("a list of rows").iter().cloned().collect();
        assert_eq!(ours.collect::<HashSet<_>>(), listed);
    }
}
