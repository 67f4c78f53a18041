//! What a player says in `/status` about why it serves or not, in one word.

use serde::Serialize;

use crate::listed::listed;

listed! {
    /// The operator copies these words into the condition Serving.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    pub enum Reason {
        Serving,
        NoShares,
        SharesUnreadable,
        PeersMissing,
        DigestMismatch,
        ProtocolMismatch,
        GenerationMismatch,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::{json, Value};

    use super::*;

    #[test]
    fn the_words_are_those_that_the_contract_has_for_players() {
        let contract = crate::contract("reasons.json");
        let rows = contract.as_array().expect("a list of rows").iter();
        let players = rows.filter(|row| {
            row["said_by"].as_array().is_some_and(|who| who.contains(&json!("player")))
        });
        let listed: HashSet<Value> = players.map(|row| row["word"].clone()).collect();
        assert_eq!(listed, Reason::ALL.iter().map(|reason| json!(reason)).collect());
    }
}
