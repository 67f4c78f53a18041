//! Requests that share a batch, or fail apart from it.

mod support;

use std::time::{Duration, Instant};

use support::{model, Trio};

const ROWS: [[f64; 3]; 2] = [[1.0, -2.0, 0.5], [-7.25, 3.0, 0.0]];
const DELAY: Duration = Duration::from_millis(800);

fn patient_trio() -> Trio {
    Trio::serving_with(1, vec!["--batch-delay-ms", "800"])
}

fn batches(trio: &Trio, i: usize) -> serde_json::Value {
    trio.status(i).expect("status")["counters"]["batches"].clone()
}

#[test]
fn requests_that_come_within_the_delay_share_a_batch_and_each_client_gets_its_own_rows() {
    let trio = patient_trio();
    std::thread::scope(|scope| {
        for n in 1..=3 {
            let trio = &trio;
            scope.spawn(move || trio.assert_predicts(&vec![[f64::from(n), 2.0, -1.0]; n as usize]));
        }
    });
    assert_eq!(batches(&trio, 0), 1);
    let metrics = support::get_plain(trio.health[0], "/metrics").expect("metrics").text();
    for line in ["bucket{le=\"4\"} 0", "bucket{le=\"8\"} 1", "sum 6", "count 1"] {
        assert!(
            metrics.contains(&format!("\nsecuremodel_player_batch_rows_{line}\n")),
            "{line}: {metrics}"
        );
    }
}

#[test]
fn a_lone_request_waits_for_others_and_a_full_batch_for_nobody() {
    let trio = patient_trio();
    let begin = Instant::now();
    trio.assert_predicts(&ROWS);
    assert!(begin.elapsed() >= DELAY, "{:?}", begin.elapsed());
    let begin = Instant::now();
    trio.assert_predicts(&[[1.0; 3]; 8]);
    assert!(begin.elapsed() < DELAY, "{:?}", begin.elapsed());
}

/// Both shares of a request are there, then its client leaves this player.
fn leave(trio: &Trio, leaves: usize) -> Option<u16> {
    let (id, shares) = (model::fresh_id(), model::share_input(&ROWS));
    std::thread::scope(|scope| {
        let (id, shares) = (&id, &shares);
        let stays =
            scope.spawn(move || trio.client(1 - leaves).infer(id, &[2, 3], &shares[1 - leaves]));
        let left = scope.spawn(move || {
            trio.client(leaves).with_patience(DELAY / 2).infer(id, &[2, 3], &shares[leaves])
        });
        let others = scope.spawn(move || trio.assert_predicts(&ROWS));
        assert!(left.join().expect("no panic").is_none());
        others.join().expect("the others are served");
        stays.join().expect("no panic").map(|response| response.status)
    })
}

#[test]
fn a_client_that_leaves_bob_once_alice_has_his_share_does_not_harm_the_batch() {
    let trio = patient_trio();
    assert_eq!(leave(&trio, 1), Some(200), "alice's part of it is computed; nobody gets bob's");
    assert_eq!(
        (batches(&trio, 1), &trio.status(1).expect("status")["counters"]["rows"]),
        (1.into(), &4.into())
    );
}

#[test]
fn a_client_that_leaves_alice_is_in_no_batch() {
    let trio = patient_trio();
    assert_eq!(leave(&trio, 0), Some(504), "bob's share finds no counterpart");
    assert_eq!(
        (batches(&trio, 1), &trio.status(1).expect("status")["counters"]["rows"]),
        (1.into(), &2.into())
    );
}
