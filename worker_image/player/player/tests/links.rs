//! Three real players: how they link, what they refuse, and how they come back.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use securemodel_mpc::protocol::ProtocolName;
use support::{model, Asker, Authority, Client, Trio, NAMES};

const ROWS: [[f64; 3]; 2] = [[1.0, -2.0, 0.5], [-7.25, 3.0, 0.0]];

#[test]
fn three_players_link_take_their_shares_and_answer() {
    let trio = Trio::start();
    let before = trio.wait(0, "linked", |s| s["epoch"].is_string());
    assert_eq!(
        (&before["reason"], &before["ready"], &before["protocol"]),
        (&"NoShares".into(), &false.into(), &serde_json::Value::Null)
    );
    assert_eq!(
        trio.client(0).send("GET", "/v2/health/ready", &[], b"").expect("an answer").status,
        503
    );
    trio.deliver(1);
    trio.wait_ready();
    trio.assert_predicts(&ROWS);
    trio.assert_predicts(&[[0.0; 3]; 8]);
    let status = trio.status(1).expect("status");
    assert_eq!(
        (&status["reason"], &status["role"], &status["model"], &status["namespace"]),
        (&"Serving".into(), &"bob".into(), &"digits".into(), &"default".into())
    );
    assert_eq!(
        (&status["counters"]["batches"], &status["counters"]["rows"]),
        (&2.into(), &10.into())
    );
    // client → bob → alice (his masked share) → bob (announcement, her masked share, her opening)
    // → alice (his opening) → client; and alice → carol (announcement) → bob (dealt) → client
    assert_eq!(
        (&trio.status(0).expect("status")["counters"]["hops"], &status["counters"]["hops"]),
        (&5.into(), &5.into())
    );
    let metrics = support::get_plain(trio.health[1], "/metrics").expect("metrics").text();
    assert!(
        metrics.contains("securemodel_player_batches_total 2\n")
            && metrics.contains("securemodel_player_ready 1\n")
            && !metrics.contains("securemodel_player_epochs_total 0\n"),
        "{metrics}"
    );
}

#[test]
fn many_clients_at_once_each_get_their_own_rows() {
    let trio = Trio::serving(1);
    std::thread::scope(|scope| {
        for n in 0..12 {
            let trio = &trio;
            scope.spawn(move || {
                for k in 0..4 {
                    let rows = vec![[f64::from(n), f64::from(k), -1.0]; 1 + n as usize % 3];
                    trio.assert_predicts(&rows);
                }
            });
        }
    });
}

#[test]
fn any_player_restarted_makes_a_new_epoch_and_needs_no_new_shares() {
    let mut trio = Trio::serving(3);
    let mut epoch = trio.wait_ready();
    for (i, name) in NAMES.iter().enumerate() {
        trio.kill(i);
        trio.start_player(i);
        trio.wait(i, "up", |s| s["ready"] == true);
        let next = trio.wait_ready();
        assert_ne!(next, epoch, "{name} was restarted");
        epoch = next;
        trio.assert_predicts(&ROWS);
    }
}

#[test]
fn new_shares_replace_the_old_and_different_generations_do_not_serve() {
    let trio = Trio::serving(1);
    let [alice, bob, carol] = model::share_files(2);
    assert_eq!(
        trio.client_as(0, "share")
            .send("PUT", "/v1/shares", &[], &alice)
            .expect("an answer")
            .status,
        200
    );
    for i in [1, 2] {
        let status = trio.wait(i, "mismatched", |s| s["reason"] == "GenerationMismatch");
        assert!(status["message"].as_str().is_some_and(|m| m.contains("alice")), "{status}");
    }
    let [a, _] = trio.predict(&ROWS).expect_err("nothing is served");
    assert_eq!((&a["code"], &a["retryable"]), (&"not_ready".into(), &true.into()));
    for (i, file) in [(1, bob), (2, carol)] {
        assert_eq!(
            trio.client_as(i, "share")
                .send("PUT", "/v1/shares", &[], &file)
                .expect("an answer")
                .status,
            200
        );
    }
    trio.wait_ready();
    trio.assert_predicts(&ROWS);
}

#[test]
fn players_with_shares_for_different_protocols_stay_linked_and_do_not_serve() {
    let trio = Trio::serving(1);
    assert_eq!(trio.status(0).expect("status")["protocol"], "SecureNN");
    let files = model::share_files_for(ProtocolName::Astra, 2);
    assert_eq!(
        trio.client_as(0, "share")
            .send("PUT", "/v1/shares", &[], &files[0])
            .expect("an answer")
            .status,
        200
    );
    for i in [1, 2] {
        let status = trio.wait(i, "mismatched", |s| s["reason"] == "ProtocolMismatch");
        assert!(
            status["message"]
                .as_str()
                .is_some_and(|m| m.contains("alice has shares for another protocol")),
            "{status}"
        );
        assert_eq!(
            (&status["protocol"], &status["peers"]["alice"]["linked"]),
            (&"SecureNN".into(), &true.into())
        );
    }
    let [a, _] = trio.predict(&ROWS).expect_err("nothing is served");
    assert_eq!((&a["code"], &a["retryable"]), (&"not_ready".into(), &true.into()));
    for i in [1, 2] {
        assert_eq!(
            trio.client_as(i, "share")
                .send("PUT", "/v1/shares", &[], &files[i])
                .expect("an answer")
                .status,
            200
        );
    }
    trio.wait_ready();
    let metadata =
        trio.client(0).send("GET", "/v2/models/digits", &[], &[]).expect("an answer").json();
    assert_eq!(
        (&metadata["parameters"]["protocol"], &trio.status(2).expect("status")["protocol"]),
        (&"ASTRA".into(), &"ASTRA".into())
    );
}

#[test]
fn a_peer_of_another_ca_is_refused() {
    let mut trio = Trio::prepare();
    let foreign = trio.path("foreign");
    Authority::new().issue("carol", &foreign);
    // so that only the others' check of her certificate is left
    fs::copy(trio.path("alice").join("ca.crt"), foreign.join("ca.crt")).expect("copied");
    trio.start_player(0);
    trio.start_player(1);
    trio.start_with(2, &foreign);
    trio.wait(0, "linked with bob", |s| s["peers"]["bob"]["linked"] == true);
    trio.wait(2, "up", |_| true);
    std::thread::sleep(Duration::from_secs(3));
    for i in [0, 1] {
        assert_eq!(
            trio.status(i).expect("status")["peers"]["carol"]["linked"],
            false,
            "{}",
            trio.log(i)
        );
        assert!(trio.log(i).contains("TLS handshake refused"), "{}", trio.log(i));
    }
    let dials = trio.log(2).matches("the link was lost").count();
    assert!((1..30).contains(&dials), "backs off: {dials} attempts in 3 s");
    assert_eq!(
        trio.log(2).matches("WARN the link was lost").count(),
        2,
        "said once a peer: {}",
        trio.log(2)
    );
}

#[test]
fn a_certificate_of_another_role_is_not_a_peer() {
    let trio = Trio::serving(1);
    let epoch = trio.wait_ready();
    // neither alice may dial alice, nor the share step, nor a client without a certificate
    for client in [trio.client_as(0, "alice"), trio.client_as(0, "share"), trio.client(0)] {
        let mut stream =
            client.with_alpn(b"securemodel-peer/1").connect().expect("TLS itself is fine");
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        assert!(bytes.is_empty(), "not a frame is said to it");
    }
    assert_eq!(trio.wait_ready(), epoch, "nothing else was disturbed");
}

#[test]
fn a_player_with_anothers_certificate_says_so_and_ends() {
    let mut trio = Trio::prepare();
    let bobs = trio.path("bob");
    trio.start_with(2, &bobs);
    assert_eq!(trio.wait_exit(2, Duration::from_secs(5)).code(), Some(1));
    let (log, says) = (
        trio.log(2),
        "player \"carol\" is carol in the cluster config, \
         but its certificate was issued for bob of default/digits",
    );
    assert!(log.contains(says), "{log}");
}

#[test]
fn garbage_on_the_ports_disturbs_nothing() {
    let trio = Trio::serving(1);
    let epoch = trio.wait_ready();
    for address in trio.tls.into_iter().chain(trio.health) {
        let _ = TcpStream::connect(address).expect("open");
        let mut socket = TcpStream::connect(address).expect("open");
        let _ = socket.write_all(&[0x16; 300]);
    }
    // a peer's certificate, but not a peer's frames: bob's link is replaced by it, then his own
    // comes back
    let mut stream = Client::new(trio.tls[0], &trio.authority, Some(&trio.path("bob")))
        .with_alpn(b"securemodel-peer/1")
        .connect()
        .expect("TLS");
    let _ = stream.write_all(&[0xff; 64]).and_then(|()| stream.flush());
    drop(stream);
    trio.wait(0, "in a new epoch", |s| s["ready"] == true && s["epoch"] != epoch.as_str());
    trio.wait_ready();
    trio.assert_predicts(&ROWS);
}

#[test]
fn a_player_that_dies_ends_what_waits_with_a_retryable_error() {
    for dead in [1, 2] {
        let mut trio = Trio::serving(1);
        let client = trio.client(0);
        let share = model::share_input(&ROWS)[0].clone();
        let waiting = std::thread::spawn(move || {
            (client.infer(&model::fresh_id(), &[2, 3], &share), Instant::now())
        });
        trio.wait(0, "asked", |s| s["counters"]["requests"] == 1);
        std::thread::sleep(Duration::from_millis(200));
        trio.kill(dead);
        let killed = Instant::now();
        let (response, answered) = waiting.join().expect("answered");
        let response = response.expect("an answer");
        assert_eq!(
            (response.status, &response.json()["code"], &response.json()["retryable"]),
            (503, &"epoch_ended".into(), &true.into())
        );
        assert!(answered - killed < Duration::from_secs(2));
        assert_eq!(
            trio.wait(0, "aware of it", |s| s["ready"] == false)["peers"][NAMES[dead]]["linked"],
            false
        );
    }
}

#[test]
fn a_player_that_hangs_is_noticed_and_taken_back_when_it_wakes() {
    let trio = Trio::serving(1);
    trio.signal(2, "-STOP");
    let begin = Instant::now();
    // alice hears nothing from carol in any program, so she may be done already; bob is not
    let [_, b] = trio.predict(&ROWS).expect_err("carol deals nothing");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!((&b["code"], &b["retryable"]), (&"peer_stalled".into(), &true.into()));
    assert!(b["error"].as_str().is_some_and(|e| e.contains("carol")), "{b}");
    trio.signal(2, "-CONT");
    trio.wait_ready();
    trio.assert_predicts(&ROWS);
}

#[test]
fn players_stop_at_once_on_sigterm() {
    let mut trio = Trio::serving(1);
    for i in 0..3 {
        trio.signal(i, "-TERM");
        assert_eq!(trio.wait_exit(i, Duration::from_secs(2)).code(), Some(0));
    }
}

#[test]
fn a_broken_share_file_is_reported_and_replaced() {
    let mut trio = Trio::prepare();
    let foreign = &model::share_files(1)[0];
    for (i, content) in [(0, &b"broken"[..]), (1, foreign)] {
        let folder = trio.path(&format!("data-{}", NAMES[i]));
        fs::create_dir(&folder).expect("folder");
        fs::write(folder.join("shares.safetensors"), content).expect("written");
    }
    (0..3).for_each(|i| trio.start_player(i));
    for (i, why) in
        [(0, "not a share file"), (1, "this share file is alice's and this player is bob")]
    {
        let status = trio.wait(i, "up", |_| true);
        assert_eq!(status["reason"], "SharesUnreadable");
        assert!(status["message"].as_str().is_some_and(|m| m.contains(why)), "{status}");
    }
    trio.deliver(2);
    trio.wait_ready();
    trio.assert_predicts(&ROWS);
}

#[test]
fn restarts_while_clients_ask_never_make_a_wrong_number_or_a_hang() {
    let mut trio = Trio::serving(1);
    let done = AtomicBool::new(false);
    let (right, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let ask = |asker: &Asker| {
        while !done.load(Ordering::SeqCst) {
            let begin = Instant::now();
            match asker.predict(&ROWS) {
                Ok(got) => {
                    model::assert_plain(&ROWS, &got);
                    right.fetch_add(1, Ordering::SeqCst);
                }
                Err(answers) => {
                    // one may have answered: its share alone is nothing
                    assert!(answers.iter().all(|e| e["retryable"] != false), "{answers:?}");
                    failed.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            assert!(begin.elapsed() < Duration::from_secs(11), "{:?}", begin.elapsed());
        }
    };
    let asker = trio.asker();
    std::thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(|| ask(&asker))));
        for i in [2, 1, 0, 2, 0, 1] {
            std::thread::sleep(Duration::from_millis(300));
            trio.kill(i);
            trio.start_player(i);
            trio.wait_ready();
        }
        std::thread::sleep(Duration::from_millis(500));
        done.store(true, Ordering::SeqCst);
    });
    let (right, failed) = (right.into_inner(), failed.into_inner());
    assert!(right > 20 && failed > 0, "{right} right, {failed} failed");
}
