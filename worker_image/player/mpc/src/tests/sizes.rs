//! No message is longer than the links are told to expect, and the longest is exactly that long.

use std::collections::BTreeSet;

use super::parties::{three, Frame};
use super::*;
use crate::compare::{with_comparison, Comparison};
use crate::interpreter::{execute, Protocol};
use crate::message::{Layout, STEPS};
use crate::program::Program;
use crate::random::ring::Z64;
use crate::size::longest_message;
use crate::work::{held, stretches};

/// Programs in which each instruction that sends anything has the longest message once.
const PROGRAMS: [(&str, [&str; 3]); 7] = [
    (
        "[7]",
        [
            "",
            r#"{"factor":2,"in":[0],"op":"scale","shape":[7]}"#,
            r#"{"in":[1],"op":"truncate_output","shape":[7],"shift":31}"#,
        ],
    ),
    (
        "[7]",
        [
            r#"{"in":[0],"op":"relu","shape":[7]}"#,
            r#"{"factor":2,"in":[1],"op":"scale","shape":[7]}"#,
            r#"{"in":[2],"op":"truncate_output","shape":[7],"shift":1}"#,
        ],
    ),
    (
        "[7]",
        [
            r#"{"factor":2,"in":[0],"op":"scale","shape":[7]}"#,
            r#"{"in":[1],"op":"truncate","shape":[7],"shift":31}"#,
            r#"{"in":[2],"op":"output","shape":[7]}"#,
        ],
    ),
    (
        "[7]",
        [
            r#"{"factor":2,"in":[0],"op":"scale","shape":[7]}"#,
            r#"{"in":[1],"op":"truncate_relu","shape":[7],"shift":31}"#,
            r#"{"in":[2],"op":"output","shape":[7]}"#,
        ],
    ),
    (
        "[7]",
        [
            r#"{"in":[0],"op":"relu","shape":[7],"threshold":-5}"#,
            r#"{"factor":2,"in":[1],"op":"scale","shape":[7]}"#,
            r#"{"in":[2],"op":"truncate_output","shape":[7],"shift":1}"#,
        ],
    ),
    (
        "[3,3,2]",
        [
            r#"{"in":[0],"op":"max_pool","shape":[1,1,2],"stride":[1,1],"window":[3,3]}"#,
            r#"{"factor":2,"in":[1],"op":"scale","shape":[1,1,2]}"#,
            r#"{"in":[2],"op":"truncate_output","shape":[1,1,2],"shift":1}"#,
        ],
    ),
    (
        "[4,4,2]",
        [
            r#"{"in":[0],"op":"max_pool","shape":[4,4,2],"stride":[1,1],"window":[1,1]}"#,
            r#"{"factor":2,"in":[1],"op":"scale","shape":[4,4,2]}"#,
            r#"{"in":[2],"op":"truncate_output","shape":[4,4,2],"shift":1}"#,
        ],
    ),
];

/// All messages of a batch of any rows.
fn sent<C: Comparison>(shares: &[Shares; 3], rows: usize) -> Vec<Frame> {
    let n = rows * shares[0].program.input_shape().iter().product::<usize>();
    let key = |pair| Key::new([pair as u8 + 1; 16]);
    let received = three::<Z64, C, Key, _>(key, |role: Role, party: &mut dyn Protocol| {
        let (share, masked, mask) = (vec![1; n], vec![2; n], vec![3; n]);
        let input = match role {
            Role::Alice => PartyInput::Alice { share, bob: masked },
            Role::Bob => PartyInput::Bob { masked, mask },
            Role::Carol => PartyInput::Carol { mask },
        };
        execute(&shares[role as usize], rows, input, party).expect("runs");
    });
    received.into_iter().flat_map(|(_, frames)| frames).collect()
}

/// Looks at the messages of every program under every protocol, for some numbers of rows.
fn each_batch(look: impl Fn(&Shares, usize, &[Frame])) {
    for (shape, instructions) in PROGRAMS {
        let input = format!(r#"{{"bound":65536,"op":"input","shape":{shape}}}"#);
        let all = [input.as_str()].into_iter().chain(instructions).filter(|i| !i.is_empty());
        let program = format!(
            r#"{{"fraction_bits":16,"instructions":[{}],"version":1}}"#,
            all.collect::<Vec<_>>().join(",")
        );
        for protocol in ProtocolName::ALL {
            let shares = share(protocol, &program, &[]);
            for rows in [1, 9, 80] {
                let frames = with_comparison!(protocol, C => sent::<C>(&shares, rows));
                look(&shares[0], rows, &frames);
            }
        }
    }
}

#[test]
fn the_longest_message_is_known_from_the_program() {
    each_batch(|shares, rows, frames| {
        let longest = frames.iter().map(|frame| frame.words.len()).max();
        assert_eq!(longest, Some(longest_message(shares, rows)), "{} rows", rows);
    });
}

#[test]
fn an_instruction_states_the_layouts_of_exactly_the_messages_that_it_sends() {
    each_batch(|shares, rows, frames| {
        for (at, instruction) in shares.program.instructions.iter().enumerate() {
            let op = instruction.op();
            // later levels of a max_pool have fewer elements
            let own = |frame: &&Frame| frame.instruction as usize == at && frame.step < STEPS;
            let sent: BTreeSet<usize> =
                frames.iter().filter(own).map(|frame| frame.words.len()).collect();
            let words = |layout: Layout| layout.words(rows * op.message_elements());
            let stated = op.messages(shares.protocol).into_iter().map(words);
            let stated: BTreeSet<usize> = stated.filter(|words| *words > 0).collect();
            assert_eq!(sent, stated, "{}, {}, {rows} rows", op.name(), shares.protocol);
        }
    });
}

#[test]
fn the_bytes_and_messages_of_a_batch_are_known_from_the_program() {
    each_batch(|shares, rows, frames| {
        let all = stretches(&shares.program, shares.protocol, rows);
        let stated: usize = all.iter().map(|stretch| stretch.bytes).sum();
        let sent: usize = frames.iter().map(|frame| 8 * frame.words.len()).sum();
        // an exchange is one message that both send
        assert!(sent <= 2 * stated && stated <= 2 * sent, "{sent} sent, {stated} stated, {rows}");

        let tags: BTreeSet<_> =
            frames.iter().map(|frame| (frame.instruction, frame.step)).collect();
        assert_eq!(all.iter().map(|stretch| stretch.messages).sum::<usize>(), tags.len());
    });
}

/// A convolution (6, 6, 2) → (4, 4, 5), a sum with itself, and the rest of a program.
const IMAGE: &str = r#"{"fraction_bits":16,"instructions":[
    {"bound":65536,"op":"input","shape":[6,6,2]},
    {"op":"weight","scale":16,"shape":[3,3,2,5]},
    {"in":[0,1],"op":"conv2d","shape":[4,4,5],"stride":[1,1]},
    {"in":[2],"op":"truncate","shape":[4,4,5],"shift":16},
    {"in":[3,3],"op":"sum","shape":[4,4,5]},
    {"in":[4],"op":"max_pool","shape":[2,2,5],"stride":[2,2],"window":[2,2]},
    {"in":[5],"op":"output","shape":[2,2,5]}],"version":1}"#;

#[test]
fn what_is_computed_between_messages_is_known_from_the_program() {
    let program = Program::parse(IMAGE.as_bytes()).expect("valid");
    for protocol in ProtocolName::ALL {
        for rows in [1, 7] {
            let operations: Vec<usize> =
                stretches(&program, protocol, rows).iter().map(|s| s.operations).collect();
            let (conv, truncate, sum, pool) = (80 * 18, 2 * 80, 3 * 80, 80 + 20);
            let expected = [72, conv + truncate, sum + pool, 2 * 20].map(|n| n * rows);
            assert_eq!(operations, expected, "the input, two that send, the output");
        }
    }
}

#[test]
fn a_value_counts_until_its_last_use_and_a_tournament_for_all_its_contestants() {
    let program = Program::parse(IMAGE.as_bytes()).expect("valid");
    let without_pool = IMAGE
        .replace(r#""max_pool","shape":[2,2,5]"#, r#""max_pool","shape":[4,4,5]"#)
        .replace(r#""stride":[2,2],"window":[2,2]"#, r#""stride":[1,1],"window":[1,1]"#)
        .replace(r#""op":"output","shape":[2,2,5]"#, r#""op":"output","shape":[4,4,5]"#);
    let without_pool = Program::parse(without_pool.as_bytes()).expect("valid");
    let of_two = IMAGE
        .replace(r#""max_pool","shape":[2,2,5]"#, r#""max_pool","shape":[2,4,5]"#)
        .replace(r#""stride":[2,2],"window":[2,2]"#, r#""stride":[2,1],"window":[2,1]"#)
        .replace(r#""op":"output","shape":[2,2,5]"#, r#""op":"output","shape":[2,4,5]"#);
    let of_two = Program::parse(of_two.as_bytes()).expect("valid");
    let values = |program: &Program| {
        // what 1000 rows more need grows by their values and their messages
        let bytes = |rows| held(program, ProtocolName::Astra, rows);
        let messages = |rows| {
            let all = stretches(program, ProtocolName::Astra, rows);
            all.iter().map(|stretch| stretch.bytes).max().unwrap_or(0)
        };
        (bytes(64) - messages(64)) / 64 / 16
    };
    assert_eq!(values(&without_pool), 160, "a value and the next");
    assert_eq!(values(&program), 80 + 20 + 3 * 40);
    assert_eq!(values(&of_two), 80 + 40 + 3 * 40, "one level is a tournament too");
}
