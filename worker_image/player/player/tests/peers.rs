//! Peers that say what they should not: a named error within the deadline, said once with the
//! peer's name, and the trio serves the next request.

mod support;

use std::io::{Read, Write};
use std::time::Duration;

use securemodel_link::announce::{parse_waiting, write_announcement, write_waiting, Entry};
use securemodel_link::frame::{Header, Kind};
use securemodel_link::mesh::Epoch;
use securemodel_mpc::role::Role;
use securemodel_player::model::Loaded;
use serde_json::{json, Value};
use support::peer::Peer;
use support::{model, Response, Trio, NAMES};

const ROWS: [[f64; 3]; 2] = [[1.0, -2.0, 0.5], [-7.25, 3.0, 0.0]];

/// A trio that serves, with this player taken out.
fn trio_without(role: Role) -> Trio {
    let mut trio = Trio::serving(1);
    trio.kill(role as usize);
    trio
}

/// The player itself comes back, and the trio serves.
fn assert_serves_again(mut trio: Trio, peer: Peer, role: Role) {
    peer.leave();
    trio.start_player(role as usize);
    trio.wait(role as usize, "up", |_| true);
    trio.wait_ready();
    trio.assert_predicts(&ROWS);
}

/// The player has said this of the peer, once.
fn assert_said_once(trio: &Trio, role: Role, of: Role, what: &str) {
    trio.wait(role as usize, "aware", |_| trio.log(role as usize).contains(what));
    let log = trio.log(role as usize);
    let peer = format!("peer=\"{of}\"");
    let lines =
        log.lines().filter(|line| ["WARN", what, &peer].iter().all(|part| line.contains(part)));
    assert_eq!(lines.count(), 1, "{what:?} of {of}, in {log}");
}

fn assert_code(response: Option<Response>, status: u16, code: &str, says: &str) {
    let response = response.expect("an answer");
    assert_eq!(
        (response.status, response.json()["code"].as_str()),
        (status, Some(code)),
        "{}",
        response.text()
    );
    assert!(response.text().contains(says), "{says:?} is not in {}", response.text());
}

fn entry(id: u8, rows: usize, number: u64) -> Entry {
    Entry { id: [id; 16], rows, number }
}

/// An announcement of these entries.
fn list(rows: usize, entries: &[Entry]) -> Vec<u8> {
    write_announcement(rows, entries.iter().copied())
}

#[test]
fn announcements_that_cannot_be_are_refused_with_alices_name() {
    let trio = trio_without(Role::Alice);
    let alice = Peer::start(&trio, Role::Alice);
    let mut last = None;
    let unknown = |number: u64| list(1, &[entry(5, 1, number)]);
    let too_many = list(9, &[entry(5, 9, 0)]);
    let no_sum = list(2, &[entry(5, 1, 0)]);
    let cut_off = vec![1, 0, 0, 0, 9];
    let twice = list(2, &[entry(5, 1, 3), entry(6, 1, 3)]);
    let waits = write_waiting(&entry(5, 1, 0), &[0; 3]);
    let does_not_wait = "an announcement of request 05050505050505050505050505050505, \
                         1 rows under number 0, which does not wait";
    let far = "request number 1125899906842624 where 0 is next";
    let (bob, carol) = (Role::Bob, Role::Carol);
    // what alice says, to whom, and what that player makes of it
    for (to, kind, batch, payload, says) in [
        (bob, Kind::Announce, 0, unknown(0), does_not_wait),
        (bob, Kind::Announce, 7, unknown(0), "batch 7 announced, 0 is next"),
        (bob, Kind::Announce, 0, too_many, "an announcement of 9 rows; 1 to 8 are served"),
        (bob, Kind::Announce, 0, no_sum, "an announcement of 2 rows"),
        (bob, Kind::Announce, 0, cut_off, "an announcement of 5 bytes"),
        (bob, Kind::Waiting, 0, waits, "WAITING is bob's to alice"),
        (carol, Kind::Data, 0, vec![0; 24], "data outside a batch"),
        (carol, Kind::Announce, 0, unknown(1 << 50), far),
        (carol, Kind::Announce, 0, twice, "request number 3 was announced before"),
    ] {
        let epoch = alice.epoch_after(last);
        last = Some(epoch.id);
        Peer::say(&epoch, to, kind, batch, &payload);
        assert!(alice.until_it_ends(&epoch) < Duration::from_secs(5), "{says}");
        assert_said_once(&trio, to, Role::Alice, says);
    }
    assert_serves_again(trio, alice, Role::Alice);
}

#[test]
fn a_request_announced_twice_is_refused_and_its_client_told_to_try_again() {
    let trio = trio_without(Role::Alice);
    let alice = Peer::start(&trio, Role::Alice);
    let epoch = alice.epoch_after(None);
    trio.wait(1, "ready", |s| s["ready"] == true);
    let client = trio.client(1);
    let asked = std::thread::spawn(move || client.infer(&hex::encode([8; 16]), &[1, 3], &[0; 24]));
    let (waits, masked) = parse_waiting(&alice.hear(&epoch)).expect("a request");
    assert_eq!((waits, masked.len()), (entry(8, 1, 0), 3));
    assert_ne!(masked, [0; 3], "under a mask");
    Peer::say(&epoch, Role::Bob, Kind::Announce, 0, &list(2, &[waits, waits]));
    assert_code(
        asked.join().expect("answered"),
        503,
        "epoch_ended",
        "alice sent what the program does not ask for: an announcement of request 0808",
    );
    assert_said_once(&trio, Role::Bob, Role::Alice, "1 rows under number 0, which does not wait");
    assert_serves_again(trio, alice, Role::Alice);
}

#[test]
fn an_alice_that_announces_and_then_stalls_is_named_within_the_deadline() {
    let trio = trio_without(Role::Alice);
    let alice = Peer::start(&trio, Role::Alice);
    let epoch = alice.epoch_after(None);
    trio.wait(1, "ready", |s| s["ready"] == true);
    let client = trio.client(1);
    let asked = std::thread::spawn(move || client.infer(&model::fresh_id(), &[1, 3], &[0; 24]));
    let (waits, _) = parse_waiting(&alice.hear(&epoch)).expect("a request");
    for to in [Role::Bob, Role::Carol] {
        Peer::say(&epoch, to, Kind::Announce, 0, &list(1, &[waits]));
    }
    let took = alice.until_it_ends(&epoch);
    assert!((4..8).contains(&took.as_secs()), "{took:?}");
    assert_code(
        asked.join().expect("answered"),
        504,
        "peer_stalled",
        "alice did not answer within the deadline",
    );
    assert_said_once(&trio, Role::Bob, Role::Alice, "alice did not answer within the deadline");
    assert_serves_again(trio, alice, Role::Alice);
}

#[test]
fn shares_under_wrong_numbers_are_refused_with_bobs_name() {
    let trio = trio_without(Role::Bob);
    let bob = Peer::start(&trio, Role::Bob);
    let mut last = None;
    for (sent, says) in [
        (vec![(entry(1, 1, 5), 3)], "a share under number 5 where 0 is next"),
        (vec![(entry(1, 1, 0), 3), (entry(2, 1, 0), 3)], "a share under number 0 where 1 is next"),
        (
            vec![(entry(1, 1, 0), 3), (entry(1, 1, 1), 3)],
            "a second share for request 01010101010101010101010101010101",
        ),
    ] {
        let epoch = bob.epoch_after(last);
        last = Some(epoch.id);
        for (entry, elements) in sent {
            Peer::say(
                &epoch,
                Role::Alice,
                Kind::Waiting,
                0,
                &write_waiting(&entry, &vec![0; elements]),
            );
        }
        assert!(bob.until_it_ends(&epoch) < Duration::from_secs(5), "{says}");
        assert_said_once(&trio, Role::Alice, Role::Bob, says);
    }
    assert_serves_again(trio, bob, Role::Bob);
}

#[test]
fn a_share_of_the_wrong_length_fails_its_request_alone() {
    let trio = trio_without(Role::Bob);
    let bob = Peer::start(&trio, Role::Bob);
    let epoch = bob.epoch_after(None);
    trio.wait(0, "ready", |s| s["ready"] == true);
    for (number, elements) in [(0, 2), (1, 4)] {
        let client = trio.client(0);
        let asked = std::thread::spawn(move || {
            client.infer(&hex::encode([number as u8; 16]), &[1, 3], &[0; 24])
        });
        trio.wait(0, "asked", |s| s["counters"]["waiting"] == 1);
        Peer::say(
            &epoch,
            Role::Alice,
            Kind::Waiting,
            0,
            &write_waiting(&entry(number as u8, 1, number), &vec![0; elements]),
        );
        assert_code(
            asked.join().expect("answered"),
            400,
            "wrong_shape",
            "the two shares of this request",
        );
    }
    assert!(!epoch.links.iter().any(|link| link.is_closed()), "the epoch goes on");
    assert_serves_again(trio, bob, Role::Bob);
}

#[test]
fn data_that_is_not_next_ends_the_epoch_with_the_peers_name_said_once() {
    let trio = trio_without(Role::Alice);
    let alice = Peer::start(&trio, Role::Alice);
    let data = |batch, instruction, step| Header {
        batch,
        instruction,
        step,
        hop: 3,
        ..Header::control(Kind::Data)
    };
    let mut last = None;
    // of an earlier or later batch, of another instruction or step, too short, too long for a
    // frame; the last one twice
    for (n, (header, length, says)) in [
        (data(7, 0, 0), 24, "(Data, 7, 0, 0, 24) where (Data, 0, "),
        (data(0, 99, 0), 24, "(Data, 0, 99, 0, 24) where (Data, 0, "),
        (data(0, 0, 99), 24, "(Data, 0, 0, 99, 24) where (Data, 0, "),
        (data(0, 0, 0), 25, "(Data, 0, 0, 0, 25) where (Data, 0, "),
        (
            Header { kind: Kind::Announce, ..data(1, 0, 0) },
            24,
            "(Announce, 1, 0, 0, 24) where (Data, 0, ",
        ),
        (data(0, 0, 0), 1 << 20, "a Data frame of 1048576 bytes; at most "),
        (data(0, 0, 0), 1 << 20, "a Data frame of 1048576 bytes; at most "),
    ]
    .into_iter()
    .enumerate()
    {
        let epoch = alice.epoch_after(last);
        last = Some(epoch.id);
        trio.wait(1, "in this epoch", |s| {
            s["ready"] == true && s["epoch"] == hex::encode(epoch.id)
        });
        let client = trio.client(1);
        let asked = std::thread::spawn(move || {
            client.infer(&hex::encode([n as u8; 16]), &[1, 3], &[0; 24])
        });
        let (waits, _) = parse_waiting(&alice.hear(&epoch)).expect("a request");
        Peer::say(&epoch, Role::Bob, Kind::Announce, 0, &list(1, &[waits]));
        let _ = epoch
            .links
            .send(Role::Bob, &header, &vec![0; length])
            .and_then(|()| epoch.links.flush());
        assert!(alice.until_it_ends(&epoch) < Duration::from_secs(5), "{says}");
        assert_code(
            asked.join().expect("answered"),
            503,
            "epoch_ended",
            "alice sent what the program does not ask for",
        );
        assert_said_once(&trio, Role::Bob, Role::Alice, says);
    }
    assert_serves_again(trio, alice, Role::Alice);
}

/// An epoch ends in a way of its own while bob has three requests, one announced, one not, one
/// still arriving: all are told the cause, whichever thread finds it first.
#[test]
fn whoever_waits_when_an_epoch_ends_hears_why() {
    type End = fn(&mut Trio, &Epoch<Loaded>);
    let announce = |epoch: &Epoch<Loaded>, entry: Entry| {
        epoch.links.send(Role::Bob, &Header::control(Kind::Announce), &list(1, &[entry]))
    };
    let ends: [(&str, End); 5] = [
        (
            "alice sent what the program does not ask for: a Data frame of 1048576 bytes",
            |_, epoch| {
                // in one record with the announcement: read at once, and the request is not taken
                // into a batch any more
                let header = Header { hop: 3, ..Header::control(Kind::Data) };
                let _ = epoch
                    .links
                    .send(Role::Bob, &header, &vec![0; 1 << 20])
                    .and_then(|()| epoch.links.flush());
            },
        ),
        ("alice sent what the program does not ask for: (Data, 9, 0, 0, 24) where", |_, epoch| {
            Peer::say(epoch, Role::Bob, Kind::Data, 9, &[0; 24])
        }),
        ("the link to alice was lost", |_, epoch| {
            let _ = epoch.links.flush();
            // only this one: otherwise carol leaves as well, and bob may notice that first
            epoch.link(Role::Bob).expect("linked").close();
        }),
        ("the link to carol was lost", |trio, epoch| {
            let _ = epoch.links.flush();
            trio.kill(Role::Carol as usize);
        }),
        ("this player was given new shares", |trio, epoch| {
            let _ = epoch.links.flush();
            std::thread::sleep(Duration::from_millis(100)); // into the batch
            let delivered = trio.client_as(1, "share").send(
                "PUT",
                "/v1/shares",
                &[],
                &model::share_files(1)[1],
            );
            assert_eq!(delivered.expect("an answer").status, 200);
        }),
    ];
    for (why, end) in ends {
        let mut trio = trio_without(Role::Alice);
        let alice = Peer::start(&trio, Role::Alice);
        let epoch = alice.epoch_after(None);
        trio.wait(1, "ready", |s| s["ready"] == true);
        let mut asked = Vec::new();
        let mut entries = Vec::new();
        for n in [1, 2] {
            let client = trio.client(1);
            asked.push(std::thread::spawn(move || {
                client.infer(&hex::encode([n; 16]), &[1, 3], &[0; 24])
            }));
            entries.push(parse_waiting(&alice.hear(&epoch)).expect("a request").0);
        }
        let (go, rest) = std::sync::mpsc::channel();
        let client = trio.client(1);
        asked.push(std::thread::spawn(move || {
            client.infer_slowly(&hex::encode([3; 16]), &[1, 3], &[0; 24], &rest)
        }));
        trio.wait(1, "asked three times", |s| s["counters"]["requests"] == 3);
        announce(&epoch, entries[0]).expect("sent");
        end(&mut trio, &epoch);
        trio.wait(1, "aware of the end", |s| s["epoch"] != hex::encode(epoch.id));
        go.send(()).expect("it waits");
        for answer in asked {
            assert_code(answer.join().expect("answered"), 503, "epoch_ended", why);
        }
    }
}

#[test]
fn frames_at_the_wrong_time_end_the_epoch_with_the_peers_name() {
    let trio = trio_without(Role::Bob);
    let bob = Peer::start(&trio, Role::Bob);
    let mut last = None;
    for (to, kind, says) in [
        (Role::Alice, Kind::Hello, "a second HELLO"),
        (Role::Alice, Kind::Data, "data outside a batch"),
        (Role::Alice, Kind::Announce, "data outside a batch"),
        (Role::Carol, Kind::Waiting, "WAITING is bob's to alice"),
        (Role::Carol, Kind::Hello, "a second HELLO"),
    ] {
        let epoch = bob.epoch_after(last);
        last = Some(epoch.id);
        trio.wait(0, "in this epoch", |s| {
            s["ready"] == true && s["epoch"] == hex::encode(epoch.id)
        });
        Peer::say(&epoch, to, kind, 0, &[]);
        assert!(bob.until_it_ends(&epoch) < Duration::from_secs(5), "{kind:?}");
        assert_said_once(&trio, to, Role::Bob, says);
    }
    assert_serves_again(trio, bob, Role::Bob);
}

#[test]
fn another_version_role_or_protocol_is_refused_with_the_peers_name() {
    let trio = Trio::serving(1);
    let hello = |version: u32, role: &str, protocol: Value| {
        json!({
            "version": version,
            "role": role,
            "protocol": protocol,
            "digest": null,
            "generation": null,
        })
    };
    for (hello, says) in [
        (hello(99, "bob", Value::Null), "it speaks version 99 as bob"),
        (
            hello(2, "bob", Value::Null),
            "it speaks version 2 as bob, expected version 3 as bob; run players of one release",
        ),
        (hello(3, "carol", Value::Null), "it speaks version 3 as carol"),
        (hello(3, "bob", json!("Falcon")), "HELLO: unknown variant `Falcon`"),
        (json!([]), "HELLO: invalid length 0"),
    ] {
        let hello = hello.to_string();
        let mut frame = Header::control(Kind::Hello).encode(hello.len()).to_vec();
        frame.extend_from_slice(hello.as_bytes());
        // bob dials too, and on a busy machine his link may take the place of this one before alice
        // has read from it
        for _ in 0..20 {
            let mut stream =
                trio.client_as(0, "bob").with_alpn(b"securemodel-peer/1").connect().expect("TLS");
            let _ = stream.write_all(&frame).and_then(|()| stream.flush());
            let _ = stream.read_to_end(&mut Vec::new()); // until alice closes it
            if trio.log(0).contains(says) {
                break;
            }
        }
        assert_said_once(&trio, Role::Alice, Role::Bob, says);
        trio.wait_ready();
        trio.assert_predicts(&ROWS);
    }
}

#[test]
fn another_program_or_protocol_does_not_serve_and_says_whose() {
    let trio = Trio::serving(1);
    for (protocol, program) in [
        ("SecureNN", model::PROGRAM.replace("6553600", "6553601")),
        ("ASTRA", model::PROGRAM.to_owned()),
    ] {
        let other = &model::share_files_of(&program, protocol, 1)[2];
        assert_eq!(
            trio.client_as(2, "share")
                .send("PUT", "/v1/shares", &[], other)
                .expect("an answer")
                .status,
            200
        );
        for i in [0, 1] {
            let status = trio.wait(i, "mismatched", |s| {
                s["reason"].as_str().is_some_and(|reason| reason.ends_with("Mismatch"))
            });
            assert!(status["message"].as_str().is_some_and(|m| m.contains(NAMES[2])), "{status}");
        }
        let refused = trio.predict(&ROWS).expect_err("nothing is served");
        assert!(
            refused.iter().all(|e| e["code"] == "not_ready"
                && e["error"].as_str().is_some_and(|e| e.contains(NAMES[2]))),
            "{refused:?}"
        );
        trio.deliver(1);
        trio.wait_ready();
        trio.assert_predicts(&ROWS);
    }
}
