//! No allocation for a frame but rustls's own. Alone in its file, for it counts those of the whole
//! process.

mod support;

use std::alloc::System;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Barrier;
use std::time::Duration;

use securemodel_link::links::Links;
use securemodel_mpc::role::Role;
use stats_alloc::{Region, StatsAlloc, INSTRUMENTED_SYSTEM};
use support::pair::{data, Exchange};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FRAMES: usize = 1000;

/// Sends frames to and fro; how many allocations there were for each, once there was one.
fn allocations_a_frame(size: usize) -> f64 {
    let [bob, alice] =
        Exchange::new().link(Role::Bob, Role::Alice, size).map(|end| Links([end.link]));
    [&bob, &alice].into_iter().for_each(Links::engage);
    let payload = vec![7u8; size];
    let (ready, made) = (Barrier::new(2), AtomicUsize::new(0));
    let take = |links: &Links<1>| {
        let frame = links.recv(links[0].peer).expect("received");
        assert_eq!(frame.payload.len(), size);
        links.recycle(links[0].peer, frame.payload.into_words().expect("words"));
    };
    let say = |links: &Links<1>| {
        links.send(links[0].peer, &data(1), &payload).and_then(|()| links.flush()).expect("sent")
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..=FRAMES / 2 {
                take(&bob);
                say(&bob);
                if round == 0 {
                    ready.wait();
                }
            }
            // what the socket has not taken yet
            let _ = bob.recv_within(Role::Alice, Duration::from_millis(50));
        });
        say(&alice);
        take(&alice);
        ready.wait();
        let region = Region::new(ALLOCATOR);
        for _ in 0..FRAMES / 2 {
            say(&alice);
            take(&alice);
        }
        let change = region.change();
        made.store(change.allocations + change.reallocations, Ordering::SeqCst);
    });
    made.into_inner() as f64 / FRAMES as f64
}

#[test]
fn a_frame_is_sent_and_received_without_allocation() {
    let made = allocations_a_frame(96);
    assert!(
        made <= 2.0,
        "{made} allocations a frame; rustls makes one to encrypt and one to decrypt a record"
    );
}
