//! No part of any key's stream is ever used twice: over a thousand requests, with each player
//! restarted in between (build with `--features audit`).

mod support;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use support::{model, Trio, NAMES};

const ROW: usize = 25;
const ROWS: usize = 2;

/// The model of the contract's vectors: convolution, ReLU, pooling, dense.
fn deliver(trio: &Trio) {
    for (i, name) in NAMES.iter().enumerate() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../../../contract/vectors/{name}.safetensors"));
        let file = fs::read(&path).expect("a share file");
        trio.wait(i, "up", |_| true);
        let response =
            trio.client_as(i, "share").send("PUT", "/v1/shares", &[], &file).expect("an answer");
        assert_eq!(response.status, 200, "{}", response.text());
    }
    trio.wait_ready();
}

/// Asks that many times; what the shares are does not matter here.
fn ask(trio: &Trio, requests: usize) {
    let clients = [0, 1].map(|i| trio.client(i));
    let share = vec![7; 8 * ROW * ROWS];
    for _ in 0..requests {
        let id = model::fresh_id();
        let statuses = std::thread::scope(|scope| {
            let ask = |i: usize| {
                let (client, id, share) = (&clients[i], &id, &share);
                scope.spawn(move || {
                    client.infer(id, &[ROWS, 5, 5, 1], share).expect("an answer").status
                })
            };
            [ask(0), ask(1)].map(|thread| thread.join().expect("answered"))
        });
        assert_eq!(statuses, [200, 200]);
    }
}

/// Runs a trio with the audit in `folder`.
fn audited(folder: &Path, requests: usize) {
    std::env::set_var("SECUREMODEL_AUDIT", folder);
    let mut trio = Trio::start();
    deliver(&trio);
    for restarted in 0..NAMES.len() {
        ask(&trio, requests / 4);
        trio.kill(restarted);
        trio.start_player(restarted);
        trio.wait_ready();
    }
    ask(&trio, requests / 4);
}

/// Uses of a stream position by the same player: how many records there were, and how many overlap
/// an earlier one.
fn overlaps(folder: &Path) -> (usize, usize) {
    let (mut records, mut twice) = (0, 0);
    for name in NAMES {
        // (key, upper half of the counter block) -> first counter -> one past the last
        let mut used: HashMap<(Vec<u8>, u64), BTreeMap<u64, u64>> = HashMap::new();
        for entry in
            fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path())
        {
            if !entry.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)) {
                continue;
            }
            for record in fs::read(&entry).expect("records").chunks_exact(40) {
                let number = |i: usize| {
                    u64::from_le_bytes(record[16 + 8 * i..][..8].try_into().expect("eight bytes"))
                };
                let intervals = used.entry((record[..16].to_vec(), number(0))).or_default();
                let (first, end) = (number(1), number(1) + number(2));
                let before = intervals.range(..end).next_back();
                twice += usize::from(before.is_some_and(|(_, past)| *past > first));
                intervals.insert(first, end);
                records += 1;
            }
        }
    }
    (records, twice)
}

#[test]
fn no_position_of_a_stream_is_used_twice_and_a_frozen_counter_is_noticed() {
    let folder = tempfile::tempdir().expect("folder");
    audited(folder.path(), 1000);
    let (records, twice) = overlaps(folder.path());
    assert!(records > 40_000, "{records} uses of streams were recorded");
    assert_eq!(twice, 0, "of {records} uses of streams");

    let folder = tempfile::tempdir().expect("folder");
    std::env::set_var("SECUREMODEL_AUDIT_FREEZE", "1");
    std::env::set_var("SECUREMODEL_AUDIT", folder.path());
    let trio = Trio::start();
    deliver(&trio);
    ask(&trio, 2);
    let (records, twice) = overlaps(folder.path());
    assert!(twice > 0, "keys whose counters stand still are used twice, in {records} records");
}
