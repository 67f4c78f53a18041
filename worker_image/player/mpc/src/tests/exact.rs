//! Privacy without statistics: in rings of two to five bits, every instruction is run over all
//! randomness of the others, and what a player sees, its own keys and parts included, must have
//! exactly the same distribution for every secret. The code is the players' own, generic in the
//! ring.

use std::marker::PhantomData;

use super::enumerated::{Enumerated, Enumeration, Observer, Variable};
use super::parties::{fields, three, Frame, Kind, Pair};
use super::*;
use crate::compare::astra::Astra;
use crate::compare::securenn::SecureNn;
use crate::compare::selection;
use crate::compare::Comparison;
use crate::interpreter::Protocol;
use crate::message::Part;
use crate::message::Step;
use crate::ops::pooling::maximum;
use crate::party::truncation;
use crate::random::ring::Ring;
use crate::simd::kernels::pooling::Pooling;
use crate::values::{Masked, Product};

macro_rules! ring {
    ($name:ident, $bits:literal, $window:literal, $digits:expr, $prime:literal) => {
        struct $name;
        impl Ring for $name {
            const BITS: u32 = $bits;
            const WINDOW: u32 = $window;
            const DIGITS: &'static [usize] = $digits;
            const PRIME: u16 = $prime;
        }
    };
}

// A truncation by s bits can be compared in a window of BITS − 1 − s bits, and ASTRA's tree has at
// least two digits: hence the rings of three bits and more.
ring!(Two, 2, 2, &[1], 3);
ring!(Three, 3, 3, &[1, 1], 5);
ring!(Four, 4, 4, &[1, 1, 1], 5);
ring!(ThreeWindowTwo, 3, 2, &[1], 3);
ring!(FourWindowTwo, 4, 2, &[1], 3);
ring!(FourWindowThree, 4, 3, &[1, 1], 5);
ring!(FiveWindowThree, 5, 3, &[1, 1], 5);

const ALICE: Observer = Observer::Player(Role::Alice);
const BOB: Observer = Observer::Player(Role::Bob);
const CAROL: Observer = Observer::Player(Role::Carol);

/// An instruction; the number is the shift. (A program has none by 0 bits. Here it is the case in
/// which the smallest rings hold a truncation and a comparison.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Input,
    Truncate(u32),
    Relu,
    /// relu with a threshold.
    ReluFrom(i64),
    TruncateRelu(u32),
    Output,
    TruncateOutput(u32),
    /// Of two values.
    MaxPool,
}

impl Op {
    fn shift(self) -> Option<u32> {
        match self {
            Op::Truncate(shift) | Op::TruncateRelu(shift) | Op::TruncateOutput(shift) => {
                Some(shift)
            }
            _ => None,
        }
    }

    fn compares(self) -> bool {
        matches!(self, Op::Relu | Op::ReluFrom(_) | Op::TruncateRelu(_) | Op::MaxPool)
    }

    fn has_output(self) -> bool {
        matches!(self, Op::Output | Op::TruncateOutput(_))
    }

    /// Masked values that it takes, if it takes any.
    fn operands(self) -> usize {
        match self {
            Op::MaxPool => 2,
            Op::Relu | Op::ReluFrom(_) | Op::Output => 1,
            _ => 0,
        }
    }

    /// All values that it is defined for.
    fn secrets<R: Ring>(self) -> Vec<[i64; 2]> {
        let (all, offset, half) =
            (1i64 << (R::BITS - 1), R::OFFSET as i64, 1i64 << (R::WINDOW - 1));
        let within = |z: &i64| match self {
            Op::Relu => (-half..half).contains(z),
            Op::ReluFrom(threshold) => (-half..half).contains(&(z - threshold)),
            Op::TruncateRelu(0) => (-offset..offset).contains(z) && (-half..half).contains(z),
            Op::TruncateRelu(s) => {
                (-offset..offset).contains(z) && -half <= z >> s && (z >> s) + 1 < half
            }
            Op::Truncate(_) | Op::TruncateOutput(_) => (-offset..offset).contains(z),
            _ => true,
        };
        match self {
            Op::MaxPool => (-all..all)
                .flat_map(|a| (-all..all).map(move |b| [a, b]))
                .filter(|[a, b]| (-half..half).contains(&(b - a)) && (a - b).abs() < half)
                .collect(),
            _ => (-all..all).filter(within).map(|z| [z, 0]).collect(),
        }
    }

    /// The result, where the ideal functionality of a truncation draws o, all bits of which are
    /// uniform, and hands out its low bits.
    fn plain<R: Ring>(self, [x, y]: [i64; 2], o: u64) -> i64 {
        let truncated = |s: u32| {
            let (u, low) = (to_ring::<R>(x).wrapping_add(R::OFFSET), (1u64 << s) - 1);
            (x >> s) + i64::from(o & low < u & low)
        };
        match self {
            Op::Input | Op::Output => x,
            Op::Relu => x.max(0),
            Op::ReluFrom(threshold) => {
                if x < threshold {
                    0
                } else {
                    x
                }
            }
            Op::MaxPool => x.max(y),
            Op::Truncate(s) | Op::TruncateOutput(s) => truncated(s),
            Op::TruncateRelu(s) => truncated(s).max(0),
        }
    }
}

fn to_ring<R: Ring>(value: i64) -> u64 {
    value as u64 & R::MASK
}

/// One check: an instruction, who looks, and how much of the enumeration is run.
struct Exact<R, C> {
    op: Op,
    observer: Observer,
    /// Fields that are not looked at; the draws of these purposes are constants. What else is seen
    /// does not depend on them.
    left_out: &'static [Purpose],
    /// Values of another player's part of a product that are tried as secrets.
    parts: usize,
    /// Elements: more assignments of what the observer knows than this allows are sampled.
    most: usize,
    /// A planted defect: this draw is always zero.
    stuck: Option<(Pair, Purpose)>,
    types: PhantomData<(R, C)>,
}

/// What one run over some elements gave.
struct Run {
    /// For each element all that the observer received.
    seen: Vec<u64>,
    results: Vec<u64>,
}

impl<R: Ring + Sync, C: Comparison + Sync> Exact<R, C> {
    fn of(op: Op, observer: Observer) -> Self {
        let most = if long() { 1 << 25 } else { 1 << 20 };
        Exact {
            op,
            observer,
            left_out: &[],
            parts: 1 << R::BITS,
            most,
            stuck: None,
            types: PhantomData,
        }
    }

    fn without(self, left_out: &'static [Purpose]) -> Self {
        Exact { left_out, ..self }
    }

    /// Looks at all assignments of what the observer knows.
    fn entirely(self) -> Self {
        Exact { most: usize::MAX, ..self }
    }

    fn parts(self, parts: usize) -> Self {
        Exact { parts, ..self }
    }

    /// What this instruction draws, with the number of its values.
    fn drawn(&self) -> Vec<(Pair, Purpose, usize)> {
        let shift = self.op.shift();
        let mut dealt: Vec<(Purpose, Part)> = shift.map(truncation::parts).unwrap_or_default();
        let mut drawn = vec![];
        let masks =
            |purpose, size| [(Pair::AliceCarol, purpose, size), (Pair::BobCarol, purpose, size)];
        let word = 1 << R::BITS;
        if shift.is_some() {
            drawn.extend(masks(Purpose::Gamma, word));
        }
        if self.op.compares() {
            dealt.extend(C::parts::<R>(shift));
            let (prime, entries) = (usize::from(R::PRIME), R::ENTRIES as u32);
            if dealt.iter().any(|(purpose, _)| *purpose == Purpose::Bits) {
                dealt.extend(selection::parts(shift));
                let own = [
                    (Purpose::Scale, (prime - 1).pow(entries)),
                    (Purpose::Blind, prime.pow(entries)),
                    (Purpose::Rotation, R::ENTRIES),
                    (Purpose::Beta, 2),
                ];
                drawn.extend(own.map(|(purpose, size)| (Pair::AliceBob, purpose, size)));
            } else {
                drawn.extend(masks(Purpose::AndMask2, 4));
                drawn.push((Pair::Carol, Purpose::Rho, 2));
                if R::DIGITS.len() == 3 {
                    drawn.extend(masks(Purpose::AndMask1, 8));
                }
            }
        }
        drawn.extend(dealt.into_iter().filter(|(_, part)| *part != Part::Planes(0)).map(
            |(purpose, part)| {
                let size = match part {
                    Part::Words => word,
                    Part::Planes(count) => 1 << count,
                    Part::Triples(_) => usize::from(R::PRIME).pow(R::ENTRIES as u32 - 1),
                };
                (Pair::AliceCarol, purpose, size)
            },
        ));
        match self.op {
            Op::Input => drawn.push((Pair::AliceCarol, Purpose::Mask, word)),
            _ if self.op.has_output() => drawn.push((Pair::AliceBob, Purpose::Zero, word)),
            _ => drawn.extend(masks(Purpose::Mask, word)),
        }
        drawn
    }

    /// The roles whose parts of a product are variables; the third part is what is missing to the
    /// secret.
    fn free_parts(&self) -> Vec<(Role, usize)> {
        let word = 1 << R::BITS;
        match (self.op, self.observer) {
            (Op::Input, Observer::Player(Role::Bob)) => vec![(Role::Bob, word)],
            (Op::Input, _) => vec![(Role::Alice, word)],
            (op, _) if op.shift().is_none() => vec![],
            (_, Observer::Player(Role::Alice)) => {
                vec![(Role::Alice, word), (Role::Bob, self.parts)]
            }
            (_, Observer::Player(role)) => vec![(role, word), (Role::Alice, self.parts)],
            (_, Observer::Client) => vec![(Role::Alice, word), (Role::Bob, self.parts)],
        }
    }

    fn enumeration(&self) -> Enumeration {
        let mut variables = vec![(Variable::Secret, self.op.secrets::<R>().len())];
        variables
            .extend(self.free_parts().into_iter().map(|(role, size)| (Variable::Part(role), size)));
        let masks = (0..self.op.operands()).flat_map(|i| {
            [Role::Alice, Role::Bob].map(|role| (Variable::Lambda(role, i), 1 << R::BITS))
        });
        variables.extend(masks);
        if self.op == Op::Input {
            variables.push((Variable::Lambda(Role::Bob, 0), 1 << R::BITS));
        }
        variables.extend(self.drawn().into_iter().map(|(pair, purpose, size)| {
            let size = if self.left_out.contains(&purpose) { 1 } else { size };
            (Variable::Drawn(pair, purpose), size)
        }));
        Enumeration::new(self.observer, &variables, self.stuck, self.most, seed(1))
    }

    /// The players' code on the elements `first .. first + n`, and the checks of the result.
    fn run(&self, e: &Enumeration, first: usize, n: usize) -> Run {
        let list = self.op.secrets::<R>();
        let secrets: Vec<[i64; 2]> =
            e.values(Variable::Secret, first, n).into_iter().map(|s| list[s as usize]).collect();
        let lambda = |role, i| e.values(Variable::Lambda(role, i), first, n);
        let add = |a: &[u64], b: &[u64]| -> Vec<u64> {
            a.iter().zip(b).map(|(a, b)| R::add(*a, *b)).collect()
        };
        let masked = |i: usize| -> (Vec<u64>, Vec<u64>, Vec<u64>) {
            let (la, lb) = (lambda(Role::Alice, i), lambda(Role::Bob, i));
            let x: Vec<u64> = secrets.iter().map(|x| to_ring::<R>(x[i])).collect();
            (add(&add(&x, &la), &lb), la, lb)
        };
        let share = |role: Role| -> Vec<u64> {
            let free = self.free_parts();
            if free.iter().any(|(known, _)| *known == role) {
                return e.values(Variable::Part(role), first, n);
            }
            let whole = secrets.iter().map(|x| to_ring::<R>(x[0])).collect();
            free.iter().fold(whole, |rest: Vec<u64>, (role, _)| {
                rest.iter()
                    .zip(e.values(Variable::Part(*role), first, n))
                    .map(|(rest, part)| R::sub(*rest, part))
                    .collect()
            })
        };
        let of = |role: Role, (m, la, lb): (Vec<u64>, Vec<u64>, Vec<u64>)| match role {
            Role::Alice => Masked { m, l: la },
            Role::Bob => Masked { m, l: lb },
            Role::Carol => Masked { m: vec![], l: add(&la, &lb) },
        };
        let source =
            |pair| Enumerated { enumeration: e, pair, first, bits: R::BITS, digits: R::ENTRIES };
        let work = |role: Role, party: &mut dyn Protocol| -> Result<Masked, ChannelError> {
            party.begin(0, 0);
            let output =
                |share: Option<Vec<u64>>| Masked { m: share.unwrap_or_default(), l: vec![] };
            match self.op {
                Op::Input => {
                    let mask = lambda(Role::Bob, 0);
                    let bob = || add(&share(Role::Bob), &mask);
                    let input = match role {
                        Role::Alice => PartyInput::Alice { share: share(Role::Alice), bob: bob() },
                        Role::Bob => PartyInput::Bob { masked: bob(), mask },
                        Role::Carol => PartyInput::Carol { mask },
                    };
                    party.input(input, n)
                }
                Op::Truncate(shift) => party.truncate(Product(share(role)), shift),
                Op::Relu => party.relu(of(role, masked(0)), 0),
                Op::ReluFrom(threshold) => party.relu(of(role, masked(0)), threshold),
                Op::TruncateRelu(shift) => party.truncate_relu(Product(share(role)), shift),
                Op::Output => Ok(output(party.output(of(role, masked(0))))),
                Op::TruncateOutput(shift) => {
                    party.truncate_output(Product(share(role)), shift).map(output)
                }
                Op::MaxPool => {
                    // images of one row and two columns
                    let [a, b] = [0, 1].map(|i| of(role, masked(i)));
                    let beside = |a: Vec<u64>, b: Vec<u64>| {
                        a.into_iter().zip(b).flat_map(|(a, b)| [a, b]).collect()
                    };
                    let image = Masked { m: beside(a.m, b.m), l: beside(a.l, b.l) };
                    let pooling = Pooling {
                        image: [1, 2, 1],
                        result: [1, 1],
                        dilation: [1, 1],
                        stride: [1, 2],
                    };
                    maximum(party, &image, 0, n, pooling, [1, 2])
                }
            }
        };
        let [(alice, to_alice), (bob, to_bob), (carol, to_carol)] =
            three::<R, C, _, _>(source, work);
        let [alice, bob, carol] = [alice, bob, carol].map(|result| result.expect("runs"));

        let opened = |frames: &[Frame]| {
            frames
                .iter()
                .find(|frame| frame.step == Step::Open.at(0))
                .map(|frame| frame.words.clone())
        };
        let o: Vec<u64> = match (opened(&to_alice), opened(&to_bob)) {
            (Some(a), Some(b)) => add(&a, &b).into_iter().map(|o| R::add(o, R::OFFSET)).collect(),
            _ => vec![0; n],
        };
        let results: Vec<u64> = (0..n)
            .map(|i| match self.op.has_output() {
                true => R::add(alice.m[i], bob.m[i]),
                false => R::sub(alice.m[i], R::add(alice.l[i], bob.l[i])),
            })
            .collect();
        for i in 0..n {
            assert_eq!(
                results[i],
                to_ring::<R>(self.op.plain::<R>(secrets[i], o[i])),
                "{:?} of {:?}, opened {}",
                self.op,
                secrets[i],
                o[i]
            );
            if !self.op.has_output() {
                let sums = [(alice.m[i], bob.m[i]), (carol.l[i], R::add(alice.l[i], bob.l[i]))];
                sums.iter().for_each(|(one, other)| {
                    assert_eq!(one & R::MASK, other & R::MASK, "the parts of a masked value agree")
                });
            }
        }

        let mut view = View { seen: vec![0; n], bits: 0 };
        match self.observer {
            Observer::Client => {
                [&alice.m, &bob.m].into_iter().for_each(|share| view.add(share, R::BITS))
            }
            Observer::Player(player) => {
                if player != Role::Carol {
                    (0..self.op.operands()).for_each(|i| view.add(&masked(i).0, R::BITS));
                }
                if player == Role::Alice && self.op == Op::Input {
                    view.add(&add(&share(Role::Bob), &lambda(Role::Bob, 0)), R::BITS);
                }
                let frames = match player {
                    Role::Alice => &to_alice,
                    Role::Bob => &to_bob,
                    Role::Carol => &to_carol,
                };
                let received = frames.iter().flat_map(|frame| {
                    fields::<R, C>(frame, n, self.op.shift(), self.op.compares())
                });
                for field in received.filter(|field| !self.left_out.contains(&field.purpose)) {
                    let bits = match field.kind {
                        Kind::Bits(bits) => bits,
                        Kind::Triple => usize::from(R::PRIME).pow(3).ilog2() + 1,
                    };
                    view.add(&field.values, bits);
                }
            }
        }
        Run { seen: view.seen, results }
    }

    /// Whether the views are equal; how much was looked at, or the first difference.
    fn verdict(&self) -> Result<Summary, String> {
        const RUN: usize = 1 << 15;
        let e = self.enumeration();
        let (mut pending, mut slice) = (vec![], 0);
        let mut expected: HashMap<Option<u64>, Vec<u64>> = HashMap::new();
        for first in (0..e.elements()).step_by(RUN) {
            let n = RUN.min(e.elements() - first);
            let run = self.run(&e, first, n);
            pending.extend(run.seen.into_iter().zip(run.results));
            while pending.len() >= e.randomness {
                if slice % e.secrets == 0 && self.observer != Observer::Client {
                    expected.clear();
                }
                // The client learns the result; a player learns nothing that it may keep.
                let leakage = (self.observer == Observer::Client).then_some(pending[0].1);
                let mut view: Vec<u64> =
                    pending.drain(..e.randomness).map(|(seen, _)| seen).collect();
                view.sort_unstable();
                if view != *expected.entry(leakage).or_insert_with(|| view.clone()) {
                    return Err(format!(
                        "{:?} at {:?}: secret {} is told apart from the first",
                        self.op,
                        self.observer,
                        slice % e.secrets
                    ));
                }
                slice += 1;
            }
        }
        assert_eq!(
            (pending.len(), slice),
            (0, e.secrets * e.known.len()),
            "every slice was compared"
        );
        Ok(Summary {
            looked_at: e.known.len(),
            of: e.all_known,
            secrets: e.secrets,
            randomness: e.randomness,
        })
    }

    fn check(&self) {
        let name = std::any::type_name::<(R, C)>()
            .replace("securemodel_player::mpc::", "")
            .replace("tests::exact::", "");
        match self.verdict() {
            Ok(Summary { looked_at, of, secrets, randomness }) => println!(
                "{name} {:?} {:?}: {looked_at} of {of} assignments of what is known, {secrets} of \
                 what is secret, {randomness} of the others' randomness",
                self.op, self.observer
            ),
            Err(difference) => panic!("{name}: {difference}"),
        }
    }
}

struct Summary {
    looked_at: usize,
    of: usize,
    secrets: usize,
    randomness: usize,
}

/// All fields of an element side by side in one word.
struct View {
    seen: Vec<u64>,
    bits: u32,
}

impl View {
    fn add(&mut self, field: &[u64], bits: u32) {
        self.bits += bits;
        assert!(self.bits <= 64, "a view has room for 64 bits, these are {}", self.bits);
        for (seen, value) in self.seen.iter_mut().zip(field) {
            assert!(value >> bits == 0, "a field of {bits} bits holds {value}");
            *seen = *seen << bits | value;
        }
    }
}

#[test]
fn alice_and_bob_learn_nothing_from_an_input() {
    for observer in [ALICE, BOB] {
        Exact::<Three, SecureNn>::of(Op::Input, observer).check();
        Exact::<Four, Astra>::of(Op::Input, observer).check();
    }
}

#[test]
fn alice_and_bob_learn_nothing_from_a_truncation() {
    for observer in [ALICE, BOB] {
        Exact::<Three, SecureNn>::of(Op::Truncate(1), observer).check();
        Exact::<Three, SecureNn>::of(Op::TruncateOutput(1), observer).entirely().check();
        Exact::<Four, Astra>::of(Op::Truncate(1), observer).parts(2).check();
        Exact::<Four, Astra>::of(Op::Truncate(2), observer).parts(2).check();
        Exact::<Four, Astra>::of(Op::TruncateOutput(2), observer).parts(2).check();
    }
}

#[test]
fn the_client_gets_a_fresh_sharing_of_the_result_and_nothing_else() {
    Exact::<Three, SecureNn>::of(Op::Output, Observer::Client).check();
    Exact::<Four, Astra>::of(Op::Output, Observer::Client).check();
    Exact::<Three, SecureNn>::of(Op::TruncateOutput(1), Observer::Client).parts(2).check();
}

#[test]
fn nobody_learns_anything_from_a_comparison_by_securenn() {
    for observer in [ALICE, BOB, CAROL] {
        Exact::<Two, SecureNn>::of(Op::Relu, observer).entirely().check();
        Exact::<Three, SecureNn>::of(Op::Relu, observer).check();
    }
    Exact::<Four, SecureNn>::of(Op::Relu, ALICE).check();
}

#[test]
fn nobody_learns_anything_from_a_comparison_with_a_threshold() {
    for threshold in [-1, 1] {
        for observer in [ALICE, BOB, CAROL] {
            Exact::<Two, SecureNn>::of(Op::ReluFrom(threshold), observer).entirely().check();
            Exact::<Three, SecureNn>::of(Op::ReluFrom(threshold), observer).check();
        }
        for observer in [ALICE, BOB] {
            Exact::<Three, Astra>::of(Op::ReluFrom(2 * threshold), observer).check();
        }
    }
    Exact::<Four, Astra>::of(Op::ReluFrom(3), ALICE).check();
}

#[test]
fn nobody_learns_anything_from_a_truncation_with_a_comparison_by_securenn() {
    use Purpose::*;
    for observer in [ALICE, CAROL] {
        Exact::<ThreeWindowTwo, SecureNn>::of(Op::TruncateRelu(0), observer).check();
        Exact::<FourWindowTwo, SecureNn>::of(Op::TruncateRelu(1), observer).check();
    }
    Exact::<ThreeWindowTwo, SecureNn>::of(Op::TruncateRelu(0), BOB).parts(1).check();
    let by_one = || Exact::<FourWindowTwo, SecureNn>::of(Op::TruncateRelu(1), BOB).parts(2);
    by_one().without(&[Sigma, SigmaR, SigmaRhoM, Mask]).check();
    by_one().without(&[R, RhoM, Bits, Mask]).check();
}

#[test]
fn nobody_learns_anything_from_a_comparison_by_astra() {
    use Purpose::*;
    for observer in [ALICE, BOB] {
        Exact::<Three, Astra>::of(Op::Relu, observer).check();
    }
    // three digits: with a first level of products
    Exact::<Four, Astra>::of(Op::Relu, ALICE).check();
    Exact::<Four, Astra>::of(Op::Relu, BOB).without(&[Rho, Sigma, SigmaR, Mask]).check();
    if long() {
        Exact::<Four, Astra>::of(Op::Relu, BOB).without(&[SigmaR, Mask]).check();
    }
}

#[test]
fn nobody_learns_anything_from_a_truncation_with_a_comparison_by_astra() {
    use Purpose::*;
    Exact::<FourWindowThree, Astra>::of(Op::TruncateRelu(0), ALICE).parts(2).check();
    Exact::<FiveWindowThree, Astra>::of(Op::TruncateRelu(1), ALICE).parts(2).check();
    let bob = || Exact::<FourWindowThree, Astra>::of(Op::TruncateRelu(0), BOB).parts(1);
    bob().without(&[Rho, Sigma, SigmaR, SigmaRhoM, Mask]).check();
    bob().without(&[R, RhoM, SigmaR, SigmaRhoM, Mask]).check();
}

#[test]
fn nobody_learns_anything_from_the_larger_of_two() {
    for observer in [ALICE, BOB, CAROL] {
        Exact::<Two, SecureNn>::of(Op::MaxPool, observer).check();
    }
    Exact::<Three, Astra>::of(Op::MaxPool, ALICE).check();
}

/// The method can fail: with any single draw of any instruction stuck at zero somebody who lacks
/// the key sees a difference.
#[test]
fn no_draw_of_randomness_can_be_left_out() {
    fn every_draw_is_needed<R: Ring + Sync, C: Comparison + Sync>(
        op: Op,
        left_out: &'static [Purpose],
    ) {
        let drawn = Exact::<R, C>::of(op, ALICE).drawn();
        for (pair, purpose, _) in
            drawn.into_iter().filter(|(_, purpose, _)| !left_out.contains(purpose))
        {
            let outsiders = [ALICE, BOB, CAROL]
                .into_iter()
                .filter(|observer| !matches!(observer, Observer::Player(role) if pair.has(*role)));
            let found =
                outsiders.chain(op.has_output().then_some(Observer::Client)).any(|observer| {
                    let exact = Exact::<R, C>::of(op, observer).parts(2).without(left_out);
                    Exact { stuck: Some((pair, purpose)), most: 1 << 16, ..exact }
                        .verdict()
                        .is_err()
                });
            assert!(found, "{op:?} without {purpose:?} of {pair:?}: nobody notices");
        }
    }
    every_draw_is_needed::<Three, SecureNn>(Op::Input, &[]);
    every_draw_is_needed::<Three, SecureNn>(Op::Truncate(1), &[]);
    every_draw_is_needed::<Three, SecureNn>(Op::Output, &[]);
    every_draw_is_needed::<Three, SecureNn>(Op::TruncateOutput(1), &[]);
    every_draw_is_needed::<Two, SecureNn>(Op::Relu, &[]);
    every_draw_is_needed::<Two, SecureNn>(Op::ReluFrom(1), &[]);
    every_draw_is_needed::<ThreeWindowTwo, SecureNn>(Op::TruncateRelu(0), &[]);
    every_draw_is_needed::<Three, Astra>(Op::Relu, &[]);
    every_draw_is_needed::<Three, Astra>(Op::ReluFrom(-1), &[]);
    every_draw_is_needed::<Four, Astra>(
        Op::Relu,
        &[Purpose::Rho, Purpose::Sigma, Purpose::SigmaR, Purpose::Mask],
    );
}
