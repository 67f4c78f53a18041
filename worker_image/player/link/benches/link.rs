//! Microseconds a hop: two threads send a frame to and fro over one link on loopback.
//!
//!     cargo bench --bench link

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use securemodel_link::links::Links;
use securemodel_mpc::role::Role;
use support::pair::{data, Exchange};

/// Of this process, in microseconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let ticks = |i: usize| {
        stat.rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(i))
            .and_then(|n| n.parse::<f64>().ok())
            .expect("a number")
    };
    (ticks(11) + ticks(12)) * 1e4
}

fn main() {
    for (size, rounds) in [(100, 20_000), (20_000, 8_000), (1_000_000, 400)] {
        let [bob, alice] =
            Exchange::new().link(Role::Bob, Role::Alice, size).map(|end| Links([end.link]));
        [&bob, &alice].into_iter().for_each(Links::engage);
        let payload = vec![7u8; size];
        let turn = |links: &Links<1>, peer: Role| {
            let frame = links.recv(peer).expect("received");
            links.recycle(peer, frame.payload.into_buffer());
        };
        let mut times = Vec::with_capacity(rounds);
        let before = cpu();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..rounds {
                    turn(&bob, Role::Alice);
                    bob.send(Role::Alice, &data(n as u64), &payload)
                        .and_then(|()| bob.flush())
                        .expect("sent");
                }
            });
            for n in 0..rounds {
                let begin = Instant::now();
                alice.send(Role::Bob, &data(n as u64), &payload).expect("sent");
                turn(&alice, Role::Bob);
                times.push(begin.elapsed().as_secs_f64() * 1e6 / 2.0);
            }
        });
        let cpu = (cpu() - before) / (2 * rounds) as f64;
        times.sort_by(f64::total_cmp);
        println!(
            "{size:>8} bytes: median {:.1} us a hop, p99 {:.1}, CPU {cpu:.1}",
            times[rounds / 2],
            times[rounds * 99 / 100]
        );
    }
}
