//! Known answers: every form in which randomness is drawn, against its definition
//! (docs/protocol.md, Randomness) over another AES. The privacy tests see what repeats within
//! their tensors; here every bit of the counter block is checked.

use super::aes::Aes;
use super::parties::Pair;
use super::planted::{Defect, Planted};
use super::*;
use crate::block::{Block, BLOCK};
use crate::random::prg::Triples;

const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const TAG: Tag = Tag { instruction: 0x89ab_cdef, level: 0x0123, purpose: Purpose::Bits };

/// The numbers of the purposes, as the protocol has them.
const PURPOSES: [(Purpose, u16); 21] = [
    (Purpose::Mask, 0),
    (Purpose::Gamma, 1),
    (Purpose::Zero, 2),
    (Purpose::R, 3),
    (Purpose::RhoM, 4),
    (Purpose::Sigma, 5),
    (Purpose::SigmaR, 6),
    (Purpose::SigmaRhoM, 7),
    (Purpose::Leaves, 8),
    (Purpose::AndMask1, 9),
    (Purpose::Products1, 10),
    (Purpose::AndMask2, 11),
    (Purpose::Products2, 12),
    (Purpose::TopR, 13),
    (Purpose::Rho, 14),
    (Purpose::Bits, 15),
    (Purpose::Beta, 16),
    (Purpose::Rotation, 17),
    (Purpose::Scale, 18),
    (Purpose::Blind, 19),
    (Purpose::Request, 20),
];

/// The definition, one number at a time. Positions count from the start of the tag's stream.
struct Definition(Aes);

impl Definition {
    fn byte(&self, tag: Tag, at: usize) -> u8 {
        self.block(tag, at / 16)[at % 16]
    }

    fn word(&self, tag: Tag, at: usize) -> u64 {
        let bytes = self.block(tag, at / 2);
        let half: [u8; 8] = std::array::from_fn(|i| bytes[at % 2 * 8 + i]);
        u64::from_le_bytes(half)
    }

    fn block(&self, tag: Tag, counter: usize) -> [u8; 16] {
        let (_, purpose) = PURPOSES
            [PURPOSES.iter().position(|(purpose, _)| *purpose == tag.purpose).expect("a number")];
        let mut block = [0; 16];
        block[..4].copy_from_slice(&tag.instruction.to_be_bytes());
        block[4..6].copy_from_slice(&tag.level.to_be_bytes());
        block[6..8].copy_from_slice(&purpose.to_be_bytes());
        block[8..].copy_from_slice(&(counter as u64).to_be_bytes());
        self.0.encrypt(block)
    }

    /// The sixteen-bit numbers from `word` on that are below base^3.
    fn triples(&self, tag: Tag, word: usize, base: u16) -> impl Iterator<Item = u16> + '_ {
        let words = (word..).map(move |at| self.word(tag, at));
        words
            .flat_map(|word| (0..4).map(move |i| (word >> (16 * i)) as u16))
            .filter(move |number| *number < base.pow(3))
    }
}

/// A form of randomness that is read block by block, in any order.
#[derive(Clone, Copy, Debug)]
enum Form {
    Words,
    Planes(usize),
    /// A byte each, below the bound.
    Below(usize),
}

const FORMS: [Form; 9] = [
    Form::Words,
    Form::Planes(1),
    Form::Planes(2),
    Form::Planes(13),
    Form::Planes(17),
    Form::Planes(112),
    Form::Below(2),
    Form::Below(32),
    Form::Below(256),
];

impl Form {
    fn drawn(self, source: &impl Source, tag: Tag, block: Block) -> Vec<u64> {
        match self {
            Form::Words => {
                let mut out = vec![0; block.len];
                source.words(tag, block.first, &mut out);
                out
            }
            Form::Planes(count) => {
                let mut out = vec![0; count * block.len.div_ceil(64)];
                source.planes(tag, count, block, &mut out);
                out
            }
            Form::Below(bound) => {
                let mut out = vec![0; block.len];
                source.below(tag, bound, block, &mut out);
                out.into_iter().map(u64::from).collect()
            }
        }
    }

    /// All blocks before this one are full: 512 elements have 512 words, 8 words a plane, or 512
    /// bytes.
    fn defined(self, definition: &Definition, tag: Tag, block: Block) -> Vec<u64> {
        match self {
            Form::Words => (0..block.len).map(|e| definition.word(tag, block.first + e)).collect(),
            Form::Planes(count) => {
                let (first, words) = (block.first / 512 * 8 * count, block.len.div_ceil(64));
                (0..count * words).map(|at| definition.word(tag, first + at)).collect()
            }
            Form::Below(bound) => {
                let byte = |e| usize::from(definition.byte(tag, block.first + e)) % bound;
                (0..block.len).map(|e| byte(e) as u64).collect()
            }
        }
    }

    /// Elements of one word of the stream.
    fn elements(self) -> usize {
        match self {
            Form::Words => 1,
            Form::Planes(_) => 64,
            Form::Below(_) => 8,
        }
    }
}

/// The tag, and all that differ from it in one bit of the instruction or of the level, or in the
/// purpose.
fn tags() -> impl Iterator<Item = Tag> {
    let instructions = (0..32).map(|bit| Tag { instruction: TAG.instruction ^ 1 << bit, ..TAG });
    let levels = (0..16).map(|bit| Tag { level: TAG.level ^ 1 << bit, ..TAG });
    let purposes = PURPOSES.into_iter().map(|(purpose, _)| Tag { purpose, ..TAG });
    instructions.chain(levels).chain(purposes)
}

/// Blocks at the start, at and before 2^16, 2^17 and 2^32 elements and words, with one element and
/// more; then one at each power of two, so that each bit of the counter is set in turn.
fn places(form: Form) -> impl Iterator<Item = Block> {
    let borders = [16, 17, 32].into_iter().flat_map(move |bits| {
        let words = (1usize << bits) * form.elements();
        [(1 << bits) - BLOCK, 1 << bits, words.max(BLOCK) - BLOCK, words]
    });
    let near = [0, BLOCK].into_iter().chain(borders);
    let near =
        near.flat_map(|first| [1, 2, 63, 64, 65, 511, BLOCK].map(|len| Block { first, len }));
    let powers = (9..56).map(|bit| Block { first: 1 << bit, len: 64 });
    near.chain(powers)
}

/// For each form what differs from the definition first.
fn differences(source: &impl Source, key: [u8; 16]) -> Vec<String> {
    let definition = Definition(Aes::new(&key));
    let forms = FORMS.into_iter().filter_map(|form| form_differs(form, source, &definition));
    forms.chain(triples_differ(source, &definition)).collect()
}

fn form_differs(form: Form, source: &impl Source, definition: &Definition) -> Option<String> {
    let first = tags().map(|tag| (tag, Block { first: 0, len: 64 }));
    let mut all = first.chain(places(form).map(|block| (TAG, block)));
    all.find_map(|(tag, block)| {
        let differs = form.drawn(source, tag, block) != form.defined(definition, tag, block);
        differs.then(|| format!("{form:?} of {tag:?} at {block:?}"))
    })
}

/// Triples are read from the start on. Each tag's first ones; then blocks of both bases until
/// beyond 2^17 words.
fn triples_differ(source: &impl Source, definition: &Definition) -> Option<String> {
    let short = tags().map(|tag| (tag, 37, 1, vec![8]));
    let uneven = [37, 36].map(|base| (TAG, base, 11, vec![BLOCK, BLOCK, 65, 1, 511]));
    let long = (TAG, 37, 11, vec![BLOCK; 100]);
    let mut all = short.chain(uneven).chain([long]);
    all.find_map(|(tag, base, planes, blocks)| {
        let (mut drawn, mut defined) = (source.triples(tag), definition.triples(tag, 0, base));
        blocks.into_iter().enumerate().find_map(|(at, len)| {
            let same = filled(&mut drawn, base, planes, len)
                .into_iter()
                .eq(defined.by_ref().take(planes * len));
            (!same).then(|| format!("triples of {tag:?}, base {base}, block {at}"))
        })
    })
}

/// The planes of a block of triples, one after the other.
fn filled(triples: &mut impl Triples, base: u16, planes: usize, len: usize) -> Vec<u16> {
    let mut out = vec![[0; BLOCK]; planes];
    triples.fill(base, Block { first: 0, len }, &mut out);
    out.iter().flat_map(|plane| &plane[..len]).copied().collect()
}

/// What differs if TAG's purpose has the defect.
fn differences_with(defect: Defect) -> Vec<String> {
    let source = Planted {
        key: Key::new(KEY),
        wrong: Key::new([1; 16]),
        defect: Some((TAG.purpose, defect)),
    };
    differences(&source, KEY)
}

/// openssl enc -aes-128-ctr -K 000102030405060708090a0b0c0d0e0f \
///     -iv 89abcdef0123000f0000000000000000 < /dev/zero
///
/// The counter at the IV's end is half the position.
#[test]
fn the_definition_and_the_stream_give_the_answers_of_openssl() {
    let answers: [(usize, u128); 3] = [
        (0, 0xd9d01e065f1c47a9ca95d7ae14411a72),
        (1 << 16, 0xa537e732d0aaa0251e2af0600fa64d81),
        (1 << 32, 0x60aba08303dd2df23573ab893edc5465),
    ];
    for (first, answer) in answers {
        let bytes = answer.to_be_bytes();
        let definition = Definition(Aes::new(&KEY));
        let defined: [u8; 16] = std::array::from_fn(|at| definition.byte(TAG, 8 * first + at));
        assert_eq!(defined, bytes, "the definition at {first}");
        let mut words = [0; 2];
        Key::new(KEY).words(TAG, first, &mut words);
        assert_eq!(bytemuck::cast_slice::<u64, u8>(&words), bytes, "the stream at {first}");
    }
}

#[test]
fn every_form_of_a_stream_is_as_defined() {
    assert_eq!(differences(&Key::new(KEY), KEY), [""; 0]);
}

#[test]
fn every_bit_of_the_key_counts() {
    for bit in 0..128 {
        let key = (u128::from_be_bytes(KEY) ^ 1 << bit).to_be_bytes();
        let mut words = [0; 2];
        Key::new(key).words(TAG, 0, &mut words);
        assert_eq!(words, [0, 1].map(|at| Definition(Aes::new(&key)).word(TAG, at)), "bit {bit}");
    }
}

#[test]
fn triples_far_into_a_stream_are_as_defined() {
    for word in [1 << 16, 1 << 17, 1 << 32] {
        let (key, definition) = (Key::new(KEY), Definition(Aes::new(&KEY)));
        let mut drawn = key.triples(TAG);
        drawn.next = word;
        let defined: Vec<u16> = definition.triples(TAG, word, 37).take(11 * BLOCK).collect();
        assert_eq!(filled(&mut drawn, 37, 11, BLOCK), defined, "from word {word}");
    }
}

#[test]
fn the_mask_of_a_request_is_as_defined() {
    let definition = Definition(Aes::new(&KEY));
    let tag = Tag { instruction: 0, level: 0, purpose: Purpose::Request };
    let defined: Vec<u64> = (0..1300).map(|e| definition.word(tag, e)).collect();
    assert_eq!(request_mask(&KEY, 1300), defined);
}

/// Triples come from the stream's start, too far from 2^32: the test above.
#[test]
fn a_stream_that_repeats_is_found_by_every_form() {
    for (words, forms) in [(8, 10), (1 << 16, 10), (1 << 17, 10), (1 << 32, 9)] {
        let found = differences_with(Defect::Repeats(words));
        assert_eq!(found.len(), forms, "repeats after {words} words: {found:#?}");
    }
}

#[test]
fn any_two_bits_missing_from_the_instruction_number_are_found_by_every_form() {
    for (one, other) in (0..32).flat_map(|one| (0..one).map(move |other| (one, other))) {
        let found = differences_with(Defect::Merged(1 << one | 1 << other));
        assert_eq!(found.len(), 10, "without bits {one} and {other}: {found:#?}");
    }
}

#[test]
fn every_other_planted_defect_is_found() {
    use Defect::{Biased, KeyOf, Narrow, Twice, Zero, ZeroAt};
    for defect in [Zero, ZeroAt(1), Narrow, Biased(7), KeyOf(Pair::Carol), Twice] {
        assert!(!differences_with(defect).is_empty(), "{defect:?} is not found");
    }
}
