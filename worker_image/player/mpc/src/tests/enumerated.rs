//! All values of all variables, enumerated by the elements of one long tensor.
//!
//! Each variable (a draw of shared randomness, a part of an input, the secret) is a digit of the
//! element's number in a mixed radix. What the observer does not know and is random runs fastest,
//! then what is secret, then what the observer knows: for each assignment of what it knows, and
//! each secret, all randomness of the others is one contiguous slice.

use super::parties::Pair;
use super::*;
use crate::block::{Block, BLOCK};
use crate::random::prg::Triples;

/// Who looks: one player, with all it knows, or the client, who sees both output shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Observer {
    Player(Role),
    Client,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    /// The plain value, or values.
    Secret,
    /// One role's part of an additively shared input.
    Part(Role),
    /// λ_a (alice) or λ_b (bob) of the masked input of that number: drawn in an earlier
    /// instruction.
    Lambda(Role, usize),
    /// A draw of a pair in this instruction.
    Drawn(Pair, Purpose),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Random,
    Secret,
    Known,
}

impl Variable {
    fn group(self, observer: Observer) -> Group {
        match (self, observer) {
            // The output shares must be a fresh sharing whatever all else is.
            (Variable::Drawn(Pair::AliceBob, Purpose::Zero), Observer::Client) => Group::Random,
            (_, Observer::Client) | (Variable::Secret, _) => Group::Secret,
            (Variable::Part(role), Observer::Player(player)) if role == player => Group::Known,
            (Variable::Part(_), _) => Group::Secret,
            (Variable::Lambda(role, _), Observer::Player(player))
                if player == role || player == Role::Carol =>
            {
                Group::Known
            }
            (Variable::Drawn(pair, _), Observer::Player(player)) if pair.has(player) => {
                Group::Known
            }
            _ => Group::Random,
        }
    }
}

struct Place {
    variable: Variable,
    group: Group,
    size: usize,
    stride: usize,
}

pub(super) struct Enumeration {
    places: Vec<Place>,
    /// Assignments of the others' randomness, and of the secrets.
    pub randomness: usize,
    pub secrets: usize,
    /// Assignments of what the observer knows: how many there are, and those that are looked at.
    pub all_known: usize,
    pub known: Vec<usize>,
    /// A planted defect: this draw is always zero.
    stuck: Option<(Pair, Purpose)>,
}

impl Enumeration {
    /// Looks at all assignments of what the observer knows if these are no more than `most`
    /// elements, or else at a sample by `seed`, at least one.
    pub(super) fn new(
        observer: Observer,
        variables: &[(Variable, usize)],
        stuck: Option<(Pair, Purpose)>,
        most: usize,
        seed: u64,
    ) -> Enumeration {
        let mut places: Vec<Place> = variables
            .iter()
            .map(|(variable, size)| Place {
                variable: *variable,
                group: variable.group(observer),
                size: *size,
                stride: 0,
            })
            .collect();
        places.sort_by_key(|place| place.group);
        let mut totals = [1, 1, 1];
        for place in &mut places {
            // strides of what is known count whole slices
            let (total, scale) = match place.group {
                Group::Random => (0, 1),
                Group::Secret => (1, totals[0]),
                Group::Known => (2, 1),
            };
            place.stride = scale * totals[total];
            totals[total] *= place.size;
        }
        let [randomness, secrets, all_known] = totals;
        let sample = most / (randomness * secrets);
        let known = match all_known <= sample {
            true => (0..all_known).collect(),
            false => random(seed, sample.max(1))
                .into_iter()
                .map(|word| (word % all_known as u64) as usize)
                .collect(),
        };
        Enumeration { places, randomness, secrets, all_known, known, stuck }
    }

    pub(super) fn elements(&self) -> usize {
        self.randomness * self.secrets * self.known.len()
    }

    /// A variable's values for the elements `first .. first + len`.
    pub(super) fn each(
        &self,
        variable: Variable,
        first: usize,
        len: usize,
        mut put: impl FnMut(usize, usize),
    ) {
        let place = self.places.iter().find(|place| place.variable == variable);
        let place = place.unwrap_or_else(|| panic!("{variable:?} is drawn and was not declared"));
        if matches!(variable, Variable::Drawn(pair, purpose) if self.stuck == Some((pair, purpose)))
        {
            return (0..len).for_each(|at| put(at, 0));
        }
        let slice = self.randomness * self.secrets;
        let mut at = 0;
        while at < len {
            let (known, inside) = ((first + at) / slice, (first + at) % slice);
            let end = len.min(at + slice - inside);
            if place.group == Group::Known {
                let value = self.known[known] / place.stride % place.size;
                (at..end).for_each(|at| put(at, value));
            } else {
                let (mut value, mut left) =
                    (inside / place.stride % place.size, place.stride - inside % place.stride);
                for at in at..end {
                    put(at, value);
                    left -= 1;
                    if left == 0 {
                        left = place.stride;
                        value = if value + 1 == place.size { 0 } else { value + 1 };
                    }
                }
            }
            at = end;
        }
    }

    pub(super) fn values(&self, variable: Variable, first: usize, len: usize) -> Vec<u64> {
        let mut out = vec![0; len];
        self.each(variable, first, len, |at, value| out[at] = value as u64);
        out
    }

    fn size(&self, variable: Variable) -> usize {
        self.places.iter().find(|place| place.variable == variable).map_or(0, |place| place.size)
    }
}

/// A pair's source: element e of this run is element `first` + e of the enumeration.
pub(super) struct Enumerated<'a> {
    pub enumeration: &'a Enumeration,
    pub pair: Pair,
    pub first: usize,
    /// Bits of the ring, digits of a private compare.
    pub bits: u32,
    pub digits: usize,
}

impl Enumerated<'_> {
    /// Values of a draw that must be declared with the size it is used with (or as a constant,
    /// where a test leaves it and all that it masks out).
    fn draw(&self, tag: Tag, size: usize, first: usize, len: usize, put: impl FnMut(usize, usize)) {
        assert_eq!((tag.instruction, tag.level), (0, 0), "one instruction and one level at a time");
        let variable = Variable::Drawn(self.pair, tag.purpose);
        let declared = self.enumeration.size(variable);
        assert!(
            declared == size || declared == 1,
            "{variable:?} has {size} values, {declared} are declared"
        );
        self.enumeration.each(variable, self.first + first, len, put);
    }
}

impl Source for Enumerated<'_> {
    type Triples<'a>
        = EnumeratedTriples<'a>
    where
        Self: 'a;

    fn words(&self, tag: Tag, first: usize, out: &mut [u64]) {
        self.draw(tag, 1 << self.bits, first, out.len(), |at, value| out[at] = value as u64);
    }

    fn planes(&self, tag: Tag, count: usize, block: Block, out: &mut [u64]) {
        if count == 0 {
            return;
        }
        let words = block.words();
        out.fill(0);
        self.draw(tag, 1 << count, block.first, block.len, |at, value| {
            for plane in 0..count {
                out[plane * words + at / 64] |= (value as u64 >> plane & 1) << (at % 64);
            }
        });
    }

    fn below(&self, tag: Tag, bound: usize, block: Block, out: &mut [u8]) {
        self.draw(tag, bound, block.first, block.len, |at, value| out[at] = value as u8);
    }

    fn triples(&self, tag: Tag) -> EnumeratedTriples<'_> {
        // bits have a digit less than there are entries; digits that nothing reads stay zero
        let digits = if tag.purpose == Purpose::Bits { self.digits - 1 } else { self.digits };
        EnumeratedTriples { source: self, tag, digits: digits as u32 }
    }
}

pub(super) struct EnumeratedTriples<'a> {
    source: &'a Enumerated<'a>,
    tag: Tag,
    digits: u32,
}

impl Triples for EnumeratedTriples<'_> {
    fn fill(&mut self, base: u16, block: Block, out: &mut [[u16; BLOCK]]) {
        let (base, cube) = (usize::from(base), usize::from(base).pow(3));
        self.source.draw(
            self.tag,
            base.pow(self.digits),
            block.first,
            block.len,
            |at, mut value| {
                for plane in out.iter_mut() {
                    plane[at] = (value % cube) as u16;
                    value /= cube;
                }
            },
        );
    }
}
