//! Links over loopback: large frames both ways at once, who reads when, deadlines, what a confused
//! peer may send, and the end.

mod support;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::Connection;
use securemodel_link::frame::{Header, Kind, MAX_PAYLOAD};
use securemodel_link::links::Links;
use securemodel_link::waker::Waker;
use securemodel_mpc::role::Role;
use securemodel_mpc::ChannelError;
use support::pair::{data, End, Exchange, Side};

/// bob's and alice's end, each with one engaged link.
fn engaged(limit: usize) -> [(Links<1>, End); 2] {
    Exchange::new().link(Role::Bob, Role::Alice, limit).map(|end| {
        let links = Links([end.link.clone()]);
        links.engage();
        (links, end)
    })
}

/// bob's end, engaged, and alice's bare TLS.
fn with_bare_peer(limit: usize) -> (Links<1>, End, Side) {
    let (end, side) = Exchange::new().half(Role::Bob, Role::Alice, limit);
    let links = Links([end.link.clone()]);
    links.engage();
    (links, end, side)
}

impl Side {
    fn say(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).expect("encrypted");
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.socket).expect("written");
        }
    }
}

#[test]
fn both_ends_have_one_secret() {
    let [(_, bob), (_, alice)] = engaged(0);
    assert_eq!(alice.link.id, bob.link.id);
    assert_eq!(
        alice.link.secret.confirmation(&[0; 16], Role::Bob),
        bob.link.secret.confirmation(&[0; 16], Role::Bob)
    );
    let [(_, other), _] = engaged(0);
    assert_ne!(alice.link.id, other.link.id);
}

/// Waits until `all` are done: what the sockets have not taken yet goes on.
fn stay<const N: usize>(links: &Links<N>, from: Role, done: &AtomicUsize, all: usize) {
    done.fetch_add(1, Ordering::SeqCst);
    while done.load(Ordering::SeqCst) < all {
        let _ = links.recv_within(from, Duration::from_millis(1));
    }
}

#[test]
fn both_ends_send_large_frames_at_once() {
    const SIZE: usize = 64 << 20; // far more than the sockets hold
    let (ends, done) = (engaged(SIZE), &AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for (links, end) in &ends {
            scope.spawn(|| {
                let peer = end.link.peer;
                let payload: Vec<u8> = (0..SIZE).map(|i| (i / 7) as u8 ^ peer as u8).collect();
                for batch in 0..2 {
                    links.send(peer, &data(batch), &payload).expect("sent");
                    let frame = links.recv(peer).expect("received");
                    let own = links[0].peer; // the other end is where this comes from
                    let theirs = if own == Role::Alice { Role::Bob } else { Role::Alice };
                    assert_eq!((frame.header, frame.payload.len()), (data(batch), SIZE));
                    assert!(frame
                        .payload
                        .iter()
                        .enumerate()
                        .all(|(i, byte)| *byte == (i / 7) as u8 ^ theirs as u8));
                }
                stay(links, peer, done, 2);
            });
        }
    });
}

#[test]
fn three_players_send_large_frames_around_at_once() {
    const SIZE: usize = 32 << 20;
    let exchange = Exchange::new();
    let [[ba, ab], [ca, ac], [cb, bc]] =
        [(Role::Bob, Role::Alice), (Role::Carol, Role::Alice), (Role::Carol, Role::Bob)]
            .map(|(d, l)| exchange.link(d, l, SIZE));
    let around = [
        (Role::Bob, Role::Carol, [ab, ac]),
        (Role::Carol, Role::Alice, [ba, bc]),
        (Role::Alice, Role::Bob, [ca, cb]),
    ];
    let done = &AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for (next, before, ends) in around {
            scope.spawn(move || {
                let links = Links(ends.each_ref().map(|end| end.link.clone()));
                links.engage();
                links.send(next, &data(1), &vec![next as u8; SIZE]).expect("sent");
                assert_eq!(links.recv(before).expect("received").payload.len(), SIZE);
                stay(&links, before, done, 3);
            });
        }
    });
}

#[test]
fn frames_of_any_size_and_thread_arrive_whole_and_in_order() {
    let sizes = [0, 1, 7, 100, 5_000, 16_363, 16_364, 16_365, 20_000, 140_000, 1 << 20];
    let [(bobs, bob), (alices, alice)] = engaged(1 << 20);
    let rounds = 8;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..rounds * sizes.len() {
                bob.link
                    .send(&Header::control(Kind::Waiting), &vec![9; n % 3 * 20_000])
                    .expect("sent");
            }
        });
        scope.spawn(|| {
            for batch in 0..rounds {
                sizes.iter().for_each(|size| {
                    bobs.send(Role::Alice, &data(batch as u64), &vec![batch as u8; *size])
                        .expect("sent")
                });
            }
            bobs.recv(Role::Alice).expect("her word that all has come");
        });
        for batch in 0..rounds {
            for size in sizes {
                let frame = alices.recv(Role::Bob).expect("received");
                assert_eq!(
                    (frame.header.batch, &frame.payload[..]),
                    (batch as u64, &vec![batch as u8; size][..])
                );
                alices.recycle(Role::Bob, frame.payload.into_buffer());
            }
        }
        alices.send(Role::Bob, &data(0), &[]).and_then(|()| alices.flush()).expect("sent");
    });
    let end = Instant::now() + Duration::from_secs(2);
    while alice.owner.heard().len() < rounds * sizes.len() && Instant::now() < end {
        assert!(alices
            .recv_within(Role::Bob, Duration::from_millis(10))
            .expect("linked")
            .is_none());
    }
    assert_eq!(alice.owner.heard(), vec!["Waiting"; rounds * sizes.len()]);
}

#[test]
fn small_frames_leave_when_the_thread_waits() {
    let [(bobs, _), (alices, _)] = engaged(8);
    (0..3).for_each(|batch| bobs.send(Role::Alice, &data(batch), &[1; 8]).expect("kept"));
    assert!(
        alices.recv_within(Role::Bob, Duration::from_millis(50)).expect("linked").is_none(),
        "they wait for each other"
    );
    assert!(bobs.recv_within(Role::Alice, Duration::ZERO).expect("linked").is_none());
    (0..3).for_each(|batch| {
        assert_eq!(alices.recv(Role::Bob).expect("received").header, data(batch))
    });
}

#[test]
fn control_frames_and_losses_are_noticed_whatever_the_engine_waits_for() {
    let exchange = Exchange::new();
    let [[bob, with_bob], [carol, with_carol]] =
        [Role::Bob, Role::Carol].map(|dialer| exchange.link(dialer, Role::Alice, 8));
    bob.link.send(&Header::control(Kind::Epoch), &[]).expect("sent");
    with_bob.owner.wait_for("Epoch"); // before the engine: the link's own thread
    std::thread::scope(|scope| {
        let links = Links([with_bob.link.clone(), with_carol.link.clone()]);
        links.engage();
        let waits = scope.spawn(move || links.recv(Role::Carol).map(|frame| frame.header));
        std::thread::sleep(Duration::from_millis(50));
        for n in 0..20 {
            let kind = if n % 2 == 0 { Kind::Waiting } else { Kind::Confirm };
            let heard = with_bob.owner.heard().len();
            bob.link.send(&Header::control(kind), &[]).expect("sent");
            let begin = Instant::now();
            while with_bob.owner.heard().len() == heard {
                assert!(
                    begin.elapsed() < Duration::from_millis(100),
                    "the engine waits for carol and does not hear bob"
                );
                std::thread::yield_now();
            }
        }
        let begin = Instant::now();
        bob.link.close();
        assert!(matches!(waits.join().expect("ended"), Err(ChannelError::Lost(Role::Bob))));
        assert!(begin.elapsed() < Duration::from_secs(1));
    });
    assert_eq!(with_bob.owner.heard().last().map(String::as_str), Some("closed by the peer"));
    assert!(with_carol.owner.heard().is_empty());
    drop(carol);
}

#[test]
fn work_and_waiting_frames_wake_an_idle_engine() {
    let [(_, bob), (alices, alice)] = engaged(8);
    let waker = Waker::new().expect("an eventfd");
    let soon = |links: &Links<1>, what: &str| {
        let begin = Instant::now();
        links.wait(&waker, Duration::from_secs(5)).expect("linked");
        assert!(begin.elapsed() < Duration::from_secs(2), "{what}");
    };
    waker.wake();
    soon(&alices, "a word before the wait");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            waker.wake();
        });
        soon(&alices, "a word in the wait");
    });
    bob.link.send(&Header::control(Kind::Waiting), &[]).expect("sent");
    soon(&alices, "a frame");
    alice.owner.wait_for("Waiting");
    let begin = Instant::now();
    alices.wait(&waker, Duration::from_millis(100)).expect("linked");
    assert!(begin.elapsed() >= Duration::from_millis(100), "each word is heard once");
}

#[test]
fn data_while_no_batch_runs_is_an_error() {
    let [(bobs, _), (alices, _)] = engaged(8);
    let waker = Waker::new().expect("an eventfd");
    bobs.send(Role::Alice, &data(1), &[]).and_then(|()| bobs.flush()).expect("sent");
    let waited = (0..2).try_for_each(|_| alices.wait(&waker, Duration::from_secs(1)));
    let expected = ChannelError::Misbehaved(Role::Bob, "data outside a batch".into());
    assert_eq!(waited, Err(expected));
}

#[test]
fn a_silent_peer_is_noticed_and_control_frames_are_not_progress() {
    let [(_, bob), (alices, _)] = engaged(8);
    let begin = Instant::now();
    let chatter = std::thread::spawn(move || {
        while begin.elapsed() < Duration::from_secs(6) {
            let _ = bob.link.send(&Header::control(Kind::Waiting), &[]);
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert!(matches!(alices.recv(Role::Bob), Err(ChannelError::Stalled(Role::Bob))));
    assert!(
        (Duration::from_secs(5)..Duration::from_secs(6)).contains(&begin.elapsed()),
        "{:?}",
        begin.elapsed()
    );
    chatter.join().expect("ended");
}

#[test]
fn a_frame_that_arrives_slowly_is_progress() {
    let (links, _, mut alice) = with_bare_peer(100);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            alice.say(&data(1).encode(3));
            for byte in [1, 2, 3] {
                std::thread::sleep(Duration::from_secs(2));
                alice.say(&[byte]);
            }
        });
        let frame = links.recv(Role::Alice).expect("six seconds, but never five without a byte");
        assert_eq!(frame.payload[..], [1, 2, 3]);
    });
}

#[test]
fn a_peer_that_stops_reading_is_noticed() {
    let (links, end, _alice) = with_bare_peer(8);
    let begin = Instant::now();
    let sent = links.send(Role::Alice, &data(1), &vec![0; 64 << 20]);
    assert!(matches!(sent, Err(ChannelError::Stalled(Role::Alice))), "{sent:?}");
    assert!(
        (Duration::from_secs(5)..Duration::from_secs(7)).contains(&begin.elapsed()),
        "{:?}",
        begin.elapsed()
    );
    assert!(matches!(
        end.link.send(&Header::control(Kind::Waiting), &[0; 1 << 20]),
        Err(ChannelError::Stalled(_) | ChannelError::Lost(_))
    ));
}

#[test]
fn a_peer_may_compute_for_as_long_as_the_program_asks_it_to() {
    const SIZE: usize = 64 << 20; // far more than sockets and outbox hold
    let mut exchange = Exchange::new();
    exchange.silence = Duration::from_secs(9);
    let ends = exchange.link(Role::Bob, Role::Alice, SIZE);
    let [bobs, alices] = ends.each_ref().map(|end| Links([end.link.clone()]));
    [&bobs, &alices].into_iter().for_each(Links::engage);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(6)); // takes nothing and says nothing
            assert_eq!(alices.recv(Role::Bob).expect("received").payload.len(), SIZE);
            alices.send(Role::Bob, &data(2), &[]).and_then(|()| alices.flush()).expect("sent");
        });
        bobs.send(Role::Alice, &data(1), &vec![0; SIZE]).expect("taken after six seconds");
        assert_eq!(bobs.recv(Role::Alice).expect("received").header, data(2));
    });
}

#[test]
fn a_sender_need_not_wait_for_a_peer_that_computes() {
    const SIZE: usize = 8 << 20;
    let [(bobs, _), (alices, _)] = engaged(SIZE);
    let begin = Instant::now();
    bobs.send(Role::Alice, &data(1), &vec![0; SIZE]).expect("taken, though alice does not read");
    assert!(begin.elapsed() < Duration::from_secs(1));
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(bobs.recv(Role::Alice).expect("received").header, data(2)));
        assert_eq!(alices.recv(Role::Bob).expect("sent while bob waits").payload.len(), SIZE);
        alices.send(Role::Bob, &data(2), &[]).and_then(|()| alices.flush()).expect("sent");
    });
}

#[test]
fn a_closed_link_is_lost_at_once_and_says_so_once() {
    let [(bobs, bob), (alices, alice)] = engaged(8);
    bobs.send(Role::Alice, &data(1), b"last").and_then(|()| bobs.flush()).expect("sent");
    bob.link.close();
    assert_eq!(alices.recv(Role::Bob).expect("what came before the end").payload[..], *b"last");
    let begin = Instant::now();
    assert!(matches!(alices.recv(Role::Bob), Err(ChannelError::Lost(Role::Bob))));
    assert!(matches!(alices.recv(Role::Bob), Err(ChannelError::Lost(Role::Bob))));
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_eq!(alice.owner.heard(), ["closed by the peer"]);
}

#[test]
fn a_link_closed_here_wakes_the_engine() {
    let [_bob, (alices, alice)] = engaged(8);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            alice.link.close();
        });
        assert!(matches!(alices.recv(Role::Bob), Err(ChannelError::Lost(Role::Bob))));
    });
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[test]
fn bytes_that_are_no_frame_close_the_link_and_are_named() {
    for (bytes, why) in [
        (data(1).encode(9).to_vec(), "a Data frame of 9 bytes; at most 8 can be needed"),
        (
            data(1).encode(MAX_PAYLOAD + 1).to_vec(),
            "a Data frame of 1073741825 bytes; at most 8 can be needed",
        ),
        (
            vec![0, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            "a frame of unknown type 77",
        ),
        (
            Header::control(Kind::Hello).encode(5000).to_vec(),
            "a Hello frame of 5000 bytes; at most 4096 can be needed",
        ),
    ] {
        let (links, end, mut alice) = with_bare_peer(8);
        alice.say(&bytes);
        let received = links.recv(Role::Alice);
        assert!(
            matches!(&received, Err(ChannelError::Misbehaved(Role::Alice, said)) if said == why),
            "{received:?}"
        );
        assert_eq!(end.owner.heard(), [why]);
        let mut rest = Vec::new();
        let _ = alice.socket.read_to_end(&mut rest);
        assert!(end.link.is_closed(), "the peer sees the end too");
    }
}

#[test]
fn a_truncated_frame_ends_with_the_link() {
    let (links, end, mut alice) = with_bare_peer(8);
    alice.say(&[&data(1).encode(8)[..], &[1, 2, 3]].concat());
    drop(alice);
    assert!(matches!(links.recv(Role::Alice), Err(ChannelError::Lost(Role::Alice))));
    assert_eq!(end.owner.heard(), ["closed by the peer"]);
}

#[test]
fn bytes_that_are_not_tls_close_the_link() {
    let (links, end, mut alice) = with_bare_peer(8);
    alice
        .socket
        .write_all(&[0x17, 3, 3, 0, 40].iter().copied().chain([7; 40]).collect::<Vec<u8>>())
        .expect("written");
    assert!(matches!(links.recv(Role::Alice), Err(ChannelError::Misbehaved(Role::Alice, _))));
    assert_eq!(end.owner.heard(), ["cannot decrypt peer's message"]);
}

#[test]
fn a_polite_end_is_an_end() {
    let (links, end, mut alice) = with_bare_peer(8);
    let Connection::Server(tls) = &mut alice.tls else { panic!("alice listens") };
    tls.send_close_notify();
    alice.say(&[]);
    assert!(matches!(links.recv(Role::Alice), Err(ChannelError::Lost(Role::Alice))));
    assert_eq!(end.owner.heard(), ["closed by the peer"]);
}

#[test]
fn a_message_that_no_frame_holds_is_this_players_fault() {
    let [(bobs, _), _alice] = engaged(100);
    let sent = bobs.send(Role::Alice, &data(0), &vec![0; MAX_PAYLOAD + 1]);
    assert!(
        matches!(&sent, Err(ChannelError::Ours(why)) if why.contains("lower --max-rows")),
        "{sent:?}"
    );
    assert_eq!(sent.expect_err("refused").peer(), None, "nobody else is blamed");
}
