//! Every input that fuzzing has kept, through the same functions (docs/testing.md).

#[path = "../../fuzz/bodies.rs"]
#[allow(unreachable_pub)]
mod bodies;

use std::path::Path;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut count = 0;
    for file in files.map(|file| file.expect("readable").path()) {
        let data = std::fs::read(&file).expect("readable");
        eprintln!("{}", file.display()); // shown if it fails
        body(&data);
        count += 1;
    }
    assert!(count > 2, "{} is the corpus of this target", folder.display());
}

#[test]
fn predictions() {
    replay("http", bodies::http);
}

#[test]
fn frames_of_peers() {
    replay("frames", bodies::frames);
}

#[test]
fn sequences_of_link_events() {
    replay("agreement", bodies::agreement);
}

#[test]
fn lists_of_requests() {
    replay("lists", bodies::lists);
}

#[test]
fn programs() {
    replay("program", bodies::program);
}

#[test]
fn share_files() {
    replay("shares", bodies::shares);
}
