//! Buffers are reused, and messages are padded to whole words: what a buffer held before must not
//! get out.

use super::parties::{three, Pair};
use super::*;
use crate::compare::{with_comparison, Comparison};
use crate::interpreter::{execute, Protocol};
use crate::random::ring::Z64;

/// Seven elements: neither planes nor triples of digits fill their words.
const N: usize = 7;
const PROGRAM: &str = r#"{"fraction_bits":16,"instructions":[
    {"bound":65536,"op":"input","shape":[7]},
    {"factor":65536,"in":[0],"op":"scale","shape":[7]},
    {"in":[1],"op":"truncate_relu","shape":[7],"shift":16},
    {"in":[2],"op":"relu","shape":[7]},
    {"factor":2,"in":[3],"op":"scale","shape":[7]},
    {"in":[4],"op":"truncate_output","shape":[7],"shift":1}],"version":1}"#;

/// All messages and output shares of one batch, when every buffer of the players holds `before`.
fn sent<C: Comparison>(protocol: ProtocolName, before: u64) -> Vec<Vec<u64>> {
    let shares = share(protocol, PROGRAM, &[]);
    let work = |role: Role, party: &mut dyn Protocol| {
        (0..40).for_each(|_| party.workspace().give(vec![before; 1 << 10]));
        let input = match role {
            Role::Alice => PartyInput::Alice { share: vec![1; N], bob: vec![2; N] },
            Role::Bob => PartyInput::Bob { masked: vec![2; N], mask: vec![3; N] },
            Role::Carol => PartyInput::Carol { mask: vec![3; N] },
        };
        execute(&shares[role as usize], 1, input, party).expect("runs").unwrap_or_default()
    };
    let parties = three::<Z64, C, _, _>(|pair: Pair| Key::new([pair as u8; 16]), work);
    parties
        .into_iter()
        .flat_map(|(output, frames)| frames.into_iter().map(|frame| frame.words).chain([output]))
        .collect()
}

#[test]
fn no_message_holds_what_a_buffer_held_before() {
    for protocol in ProtocolName::ALL {
        let [clean, dirty] = [0, u64::MAX]
            .map(|before| with_comparison!(protocol, C => sent::<C>(protocol, before)));
        // ASTRA's carol draws ρ like the others' randomness here, and so the same in both runs
        assert_eq!(clean, dirty, "{protocol}");
    }
}
