//! Leaks planted into the randomness, each of which the statistics of `views` must find, or, where
//! something comes twice, those of `repeats`.

use super::enumerated::Observer;
use super::parties::Pair;
use super::planted::{Defect, Leak};
use super::repeats;
use super::series::{Secrets, Series};
use super::views;
use super::*;

/// log10 of the largest p-value at which a leak counts as found.
const FOUND: f64 = -12.0;

fn is_found(
    protocol: ProtocolName,
    observer: Observer,
    secrets: Secrets,
    pair: Pair,
    purpose: Purpose,
    defect: Defect,
) {
    let leak = Some(Leak { pair, purpose, defect });
    let verdict =
        views::verdict(&Series { leak, ..views::series(protocol, observer, secrets, seed(99)) });
    println!("{protocol:?} {purpose:?} of {pair:?} {defect:?}: {verdict}");
    assert!(
        verdict.log10() < FOUND,
        "{protocol:?} {purpose:?} of {pair:?} {defect:?} is not found: {verdict}"
    );
}

/// Masks of alice's messages, in bob's eyes.
fn mask_is_found(protocol: ProtocolName, secrets: Secrets, defect: Defect) {
    is_found(
        protocol,
        Observer::Player(Role::Bob),
        secrets,
        Pair::AliceCarol,
        Purpose::Mask,
        defect,
    );
}

/// Draws of alice and bob for a private compare, in carol's eyes.
fn compare_is_found(purpose: Purpose) {
    is_found(
        ProtocolName::SecureNn,
        Observer::Player(Role::Carol),
        Secrets::Fixed,
        Pair::AliceBob,
        purpose,
        Defect::Zero,
    );
}

#[test]
fn a_mask_omitted_on_one_element_is_found() {
    mask_is_found(ProtocolName::SecureNn, Secrets::Fixed, Defect::ZeroAt(5));
    mask_is_found(ProtocolName::Astra, Secrets::Two, Defect::ZeroAt(5));
}

#[test]
fn a_mask_used_in_two_batches_is_found() {
    mask_is_found(ProtocolName::SecureNn, Secrets::Fixed, Defect::Twice);
}

#[test]
fn a_mask_from_a_key_that_the_receiver_holds_is_found() {
    mask_is_found(ProtocolName::Astra, Secrets::Fixed, Defect::KeyOf(Pair::AliceBob));
}

#[test]
fn a_mask_of_32_bits_is_found() {
    mask_is_found(ProtocolName::SecureNn, Secrets::Two, Defect::Narrow);
}

#[test]
fn a_bit_of_a_mask_that_is_one_in_51_of_100_is_found() {
    mask_is_found(ProtocolName::Astra, Secrets::Fixed, Defect::Biased(7));
}

#[test]
fn a_private_compare_without_blinding_is_found() {
    compare_is_found(Purpose::Blind);
}

#[test]
fn a_private_compare_with_a_constant_scale_is_found() {
    compare_is_found(Purpose::Scale);
}

#[test]
fn a_private_compare_without_permutation_is_found() {
    compare_is_found(Purpose::Rotation);
}

#[test]
fn a_private_compare_with_a_constant_coin_is_found() {
    compare_is_found(Purpose::Beta);
}

#[test]
fn an_output_share_that_is_not_masked_again_is_found() {
    is_found(
        ProtocolName::SecureNn,
        Observer::Client,
        Secrets::Fixed,
        Pair::AliceBob,
        Purpose::Zero,
        Defect::Zero,
    );
}

/// A stream that is read twice, which `views` does not find: its tensors are small, and it compares
/// no two elements.
fn repeat_is_found(series: Series, pair: Pair, purpose: Purpose, defect: Defect) {
    let leak = Some(Leak { pair, purpose, defect });
    let name = format!("{:?} {purpose:?} of {pair:?} {defect:?}", series.protocol);

    let verdict = repeats::verdict(&Series { leak, ..series });
    println!("{name}: {verdict}");
    assert!(verdict.log10() < FOUND, "{name} is not found: {verdict}");
}

#[test]
fn a_mask_that_repeats_after_131072_words_is_found() {
    let series = repeats::long_tensors(ProtocolName::Astra, Observer::Player(Role::Bob), seed(98));
    repeat_is_found(series, Pair::AliceCarol, Purpose::Mask, Defect::Repeats(1 << 17));
}

#[test]
fn a_coin_that_repeats_every_512_elements_is_found() {
    // eight words of the plane
    let series = repeats::many(ProtocolName::SecureNn, Observer::Player(Role::Carol), seed(98));
    repeat_is_found(series, Pair::AliceBob, Purpose::Beta, Defect::Repeats(8));
}

#[test]
fn two_bits_missing_from_the_instruction_number_are_found() {
    let bob = Observer::Player(Role::Bob);
    for missing in [0b011, 0b101, 0b110] {
        let series = repeats::many(ProtocolName::SecureNn, bob, seed(98));
        repeat_is_found(series, Pair::AliceCarol, Purpose::Sigma, Defect::Merged(missing));
    }
    let series = repeats::many(ProtocolName::Astra, bob, seed(98));
    repeat_is_found(series, Pair::AliceCarol, Purpose::Leaves, Defect::Merged(0b011));
    let series = repeats::many(ProtocolName::SecureNn, Observer::Player(Role::Carol), seed(98));
    repeat_is_found(series, Pair::AliceBob, Purpose::Beta, Defect::Merged(0b011));
}
