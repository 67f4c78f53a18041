//! No message is longer than the links are told to expect, and the longest is exactly that long.

use super::parties::three;
use super::*;
use crate::compare::{with_comparison, Comparison};
use crate::interpreter::{execute, Protocol};
use crate::random::ring::Z64;
use crate::size::longest_message;

/// Programs in which each instruction that sends anything has the longest message once.
const PROGRAMS: [(&str, [&str; 3]); 6] = [
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

/// Words of the longest message that anybody receives in a batch of random rows.
fn longest_sent<C: Comparison>(shares: &[Shares; 3], rows: usize) -> usize {
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
    let frames = received.iter().flat_map(|(_, frames)| frames);
    frames.map(|frame| frame.words.len()).max().expect("messages")
}

#[test]
fn the_longest_message_is_known_from_the_program() {
    for (shape, instructions) in PROGRAMS {
        let input = format!(r#"{{"bound":65536,"op":"input","shape":{shape}}}"#);
        let all = [input.as_str()].into_iter().chain(instructions).filter(|i| !i.is_empty());
        let program = format!(
            r#"{{"fraction_bits":16,"instructions":[{}],"version":1}}"#,
            all.collect::<Vec<_>>().join(",")
        );
        for (protocol, rows) in
            ProtocolName::ALL.into_iter().flat_map(|p| [1, 9, 80].map(|rows| (p, rows)))
        {
            let shares = share(protocol, &program, &[]);
            let sent = with_comparison!(protocol, C => longest_sent::<C>(&shares, rows));
            let known = longest_message(&shares[0], rows);
            assert_eq!(sent, known, "{program}, {protocol}, {rows} rows");
        }
    }
}
