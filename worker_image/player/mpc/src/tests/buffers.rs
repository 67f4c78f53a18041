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
    {"in":[3],"op":"relu","shape":[7],"threshold":5},
    {"axis":[0],"in":[4],"index":[[-1,6,5,4,3,2,1,0,-1]],"op":"gather","shape":[9]},
    {"axis":0,"in":[5,3,5],"op":"concat","shape":[25]},
    {"in":[6,6],"op":"sum","shape":[25]},
    {"in":[7],"op":"reshape","shape":[5,1,5]},
    {"op":"weight","scale":16,"shape":[5]},
    {"in":[8,9],"op":"multiply","shape":[5,1,5]},
    {"in":[10],"op":"truncate","shape":[5,1,5],"shift":16},
    {"op":"weight","scale":16,"shape":[2,1,1,5]},
    {"groups":5,"in":[11,12],"op":"conv2d","shape":[4,1,5],"stride":[1,1]},
    {"in":[13],"op":"truncate_output","shape":[4,1,5],"shift":1}],"version":1}"#;

/// All messages and output shares of one batch, when every buffer of the players holds `before`.
fn sent<C: Comparison>(protocol: ProtocolName, before: u64) -> Vec<Vec<u64>> {
    let weight = |at, shape: &[usize]| (at, shape.to_vec(), vec![3; shape.iter().product()]);
    let weights = [weight(9, &[5]), weight(12, &[2, 1, 1, 5])];
    let shares = share(protocol, PROGRAM, &weights);
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
