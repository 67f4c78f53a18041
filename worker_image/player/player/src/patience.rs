//! How long a batch may take: what its program asks for, at the pace of a slow and busy machine in
//! a slow network. Pure.

use std::time::Duration;

use securemodel_link::link::DEADLINE;
use securemodel_mpc::program::Program;
use securemodel_mpc::protocol::ProtocolName;
use securemodel_mpc::work::{stretches, Stretch};

/// Ten times and more what docs/performance.md measures, so that a machine that does other things
/// too is in time: a multiplication;
const OPERATION: Duration = Duration::from_nanos(5);
/// a byte between players, with the comparisons that it is sent for: 20 MB a second;
const BYTE: Duration = Duration::from_nanos(50);
/// a message: the delay of a link, one way.
const MESSAGE: Duration = Duration::from_millis(100);
/// No batch has more, however small its program,
const SHORTEST: Duration = DEADLINE;
/// and none has longer: batches are cut so that they need less (`Loaded`).
pub(crate) const LONGEST: Duration = Duration::from_secs(300);

/// What the players wait for, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A batch, from its announcement to its last answer.
    pub batch: Duration,
    /// A word of a peer that computes.
    pub silence: Duration,
}

impl Patience {
    /// For batches of at most `rows` rows.
    pub(crate) fn new(program: &Program, protocol: ProtocolName, rows: usize) -> Patience {
        let stretches = stretches(program, protocol, rows);
        let longest = stretches.iter().map(pace).max().unwrap_or_default();
        let batch = needed(&stretches).clamp(SHORTEST, LONGEST);
        Patience { batch, silence: longest.clamp(SHORTEST, batch) }
    }

    /// What a client waits for after its request has arrived: its batch, and the one before.
    pub fn answer(&self) -> Duration {
        2 * self.batch
    }
}

/// Whether no batch of so many rows needs longer than any may take.
pub(crate) fn is_bearable(program: &Program, protocol: ProtocolName, rows: usize) -> bool {
    needed(&stretches(program, protocol, rows)) <= LONGEST
}

fn needed(stretches: &[Stretch]) -> Duration {
    stretches.iter().map(pace).fold(Duration::ZERO, Duration::saturating_add)
}

fn pace(stretch: &Stretch) -> Duration {
    let times = |one: Duration, count: usize| {
        Duration::from_nanos((one.as_nanos() as u64).saturating_mul(count as u64))
    };
    times(OPERATION, stretch.operations)
        .saturating_add(times(BYTE, stretch.bytes))
        .saturating_add(times(MESSAGE, stretch.messages))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dense layer and ReLU of `n` elements, `layers` times.
    fn dense(n: usize, layers: usize) -> Program {
        let mut lines = vec![format!(r#"{{"bound":65536,"op":"input","shape":[{n}]}}"#)];
        for layer in 0..layers {
            let at = 3 * layer;
            lines.push(format!(r#"{{"op":"weight","scale":16,"shape":[{n},{n}]}}"#));
            let (x, w) = (at, at + 1);
            lines.push(format!(r#"{{"in":[{x},{w}],"op":"matmul","shape":[{n}]}}"#));
            let product = at + 2;
            lines.push(format!(
                r#"{{"in":[{product}],"op":"truncate_relu","shape":[{n}],"shift":16}}"#
            ));
        }
        let last = 3 * layers;
        lines.push(format!(r#"{{"in":[{last}],"op":"output","shape":[{n}]}}"#));
        let text =
            format!(r#"{{"fraction_bits":16,"instructions":[{}],"version":1}}"#, lines.join(","));
        Program::parse(text.as_bytes()).expect("valid")
    }

    fn patience(n: usize, layers: usize, rows: usize) -> Patience {
        Patience::new(&dense(n, layers), ProtocolName::Astra, rows)
    }

    #[test]
    fn a_small_program_has_the_shortest_time() {
        assert_eq!(patience(10, 1, 256), Patience { batch: SHORTEST, silence: SHORTEST });
        assert_eq!(patience(10, 1, 256).answer(), Duration::from_secs(10));
    }

    #[test]
    fn time_grows_with_rows_multiplications_and_layers() {
        let seconds = |n, layers, rows| patience(n, layers, rows).batch.as_secs_f64();
        // 5 ns for each of 4096² multiplications a row, and what a ReLU of 4096 elements sends
        let one = seconds(4096, 1, 200);
        assert!((16.8..25.0).contains(&one), "{one}");
        assert!((1.9..2.1).contains(&(seconds(4096, 1, 400) / one)));
        assert!((1.9..2.1).contains(&(seconds(4096, 2, 200) / one)));
        // hops: two layers are twice as many
        assert!(seconds(10, 40, 1) > 1.9 * seconds(10, 20, 1));
    }

    #[test]
    fn a_peer_may_be_silent_for_its_longest_stretch() {
        let (one, two) = (patience(4096, 1, 200), patience(4096, 2, 200));
        assert_eq!(one.silence, two.silence);
        assert!(one.silence > SHORTEST && one.silence <= one.batch && two.silence < two.batch);
    }

    #[test]
    fn no_batch_has_longer_than_the_longest_time_whatever_it_needs() {
        let whole = patience(1 << 14, 10, 1 << 16);
        assert_eq!(whole, Patience { batch: LONGEST, silence: LONGEST });
        assert!(!is_bearable(&dense(1 << 14, 10), ProtocolName::Astra, 1 << 16));
        assert!(is_bearable(&dense(10, 1), ProtocolName::Astra, 1 << 16));
    }
}
