//! A program that takes long: peers may be silent, and requests wait, for as long as it asks.

mod support;

use std::time::Duration;

use support::{model, Trio};

/// A convolution of half a billion multiplications a row.
const PROGRAM: &str = concat!(
    r#"{"fraction_bits":16,"instructions":["#,
    r#"{"bound":65536,"op":"input","shape":[64,64,128]},"#,
    r#"{"op":"weight","scale":16,"shape":[3,3,128,128]},"#,
    r#"{"in":[0,1],"op":"conv2d","shape":[62,62,128],"stride":[1,1]},"#,
    r#"{"in":[2],"op":"truncate_output","shape":[62,62,128],"shift":16}],"version":1}"#
);
const INPUT: [usize; 4] = [1, 64, 64, 128];
const OUTPUT: usize = 62 * 62 * 128;
/// Longer than a small program has for a word of a peer, and for a whole answer.
const HELD_UP: Duration = Duration::from_millis(11_500);

/// Asks for a row of zeros, and wants zeros.
fn ask(trio: &Trio) {
    let (id, share) = (model::fresh_id(), vec![0; 8 * INPUT.iter().product::<usize>()]);
    let shares = std::thread::scope(|scope| {
        let ask = |i: usize| {
            let client = trio.client(i).with_patience(Duration::from_secs(60));
            let (id, share) = (&id, &share);
            scope.spawn(move || client.infer(id, &INPUT, share).expect("an answer"))
        };
        [ask(0), ask(1)].map(|thread| {
            let response = thread.join().expect("answered");
            assert_eq!(response.status, 200, "{}", response.text());
            response.inference().1
        })
    });
    assert_eq!(shares[0].len(), OUTPUT);
    // a truncation gives the floor or one more
    assert!(shares[0].iter().zip(&shares[1]).all(|(a, b)| a.wrapping_add(*b) <= 1));
}

#[test]
fn a_large_batch_may_be_held_up_and_the_next_one_waits_for_it() {
    let trio = Trio::start();
    trio.deliver_files(model::share_files_of_zeros(PROGRAM, &[3, 3, 128, 128]));
    let epoch = trio.wait_ready();
    trio.signal(2, "-STOP"); // as if carol computed, on a machine that is busy
    std::thread::scope(|scope| {
        let first = scope.spawn(|| ask(&trio));
        trio.wait(0, "asked", |status| status["counters"]["requests"] == 1);
        std::thread::sleep(Duration::from_secs(1));
        let second = scope.spawn(|| ask(&trio));
        std::thread::sleep(HELD_UP);
        trio.signal(2, "-CONT");
        [first, second].into_iter().for_each(|asked| asked.join().expect("answered"));
    });
    assert_eq!(trio.wait_ready(), epoch, "no epoch ended");
    let counters = &trio.status(0).expect("status")["counters"];
    assert_eq!((&counters["batches"], &counters["errors"]), (&2.into(), &0.into()));
}
