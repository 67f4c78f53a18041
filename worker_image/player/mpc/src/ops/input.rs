//! input: a client's rows become a masked value.

use serde::Deserialize;

use super::form::{present, Earlier, Form, Shape};
use super::op::{facts, Op};
use crate::channel::ChannelError;
use crate::message::{Layout, Step};
use crate::party::base::{Party, PartyInput};
use crate::party::data::{add_into, Data};
use crate::party::helper::Helper;
use crate::protocol::ProtocolName;
use crate::random::prg::Source;
use crate::random::ring::Ring;
use crate::random::tag::Purpose;
use crate::role::Role;
use crate::values::Masked;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientInput {
    shape: Shape,
    /// Every honest client's fixed-point value v has |v| ≤ bound,
    pub(crate) bound: u64,
    /// and, where the two are there, low ≤ v ≤ high.
    #[serde(default, deserialize_with = "present")]
    low: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    high: Option<i64>,
}

impl Op for ClientInput {
    facts!("input", without operands);

    fn check(&self, _: &Earlier<'_>) -> Result<(Shape, Form), String> {
        if self.bound == 0 || self.bound >= 1 << 31 {
            return Err(format!("bound {} is not in 1 … 2^31 - 1", self.bound));
        }
        if self.low.is_some() != self.high.is_some() {
            return Err("low and high go together, and one of them is missing".into());
        }
        let (low, high) = (self.low(), self.high());
        if low >= high {
            return Err(format!("low {low} is not below high {high}"));
        }
        if low.unsigned_abs().max(high.unsigned_abs()) != self.bound {
            let bound = self.bound;
            return Err(format!(
                "bound {bound} is not the larger of |low {low}| and |high {high}|"
            ));
        }
        Ok((self.shape.clone(), Form::Masked { truncated: false }))
    }

    fn messages(&self, _: ProtocolName) -> Vec<Layout> {
        vec![Layout::of_words(Purpose::Mask)]
    }
}

impl ClientInput {
    pub(crate) fn low(&self) -> i64 {
        self.low.unwrap_or(-(self.bound as i64))
    }

    pub(crate) fn high(&self) -> i64 {
        self.high.unwrap_or(self.bound as i64)
    }
}

/// A party's part in an input.
pub(crate) trait TakesInput: Party {
    /// `n`: the elements of all rows.
    fn input(&mut self, input: PartyInput, n: usize) -> Result<Masked, ChannelError>;
}

impl<R: Ring, S: Source, C> TakesInput for Data<'_, R, S, C> {
    /// alice knows bob's masked share already, and sends hers; bob sent his along with the news
    /// of the request.
    fn input(&mut self, input: PartyInput, n: usize) -> Result<Masked, ChannelError> {
        match input {
            PartyInput::Alice { share: mut m, bob } if m.len() == n && bob.len() == n => {
                let mut l = self.workspace.take(n);
                self.with_carol.words(self.tag(Purpose::Mask), 0, &mut l);
                add_into::<R>(&mut m, &l);
                self.send(Role::Bob, Step::Mask, &m)?;
                add_into::<R>(&mut m, &bob);
                self.workspace.give(bob);
                Ok(Masked { m, l })
            }
            PartyInput::Bob { masked: mut m, mask: l } if m.len() == n && l.len() == n => {
                let theirs = self.recv(Role::Alice, Step::Mask, n)?;
                add_into::<R>(&mut m, &theirs);
                self.recycle(theirs);
                Ok(Masked { m, l })
            }
            _ => {
                let role = self.role;
                let why = format!("an input of {n} elements, as {role} has it, is needed");
                Err(ChannelError::Ours(why))
            }
        }
    }
}

impl<R: Ring, S: Source, C> TakesInput for Helper<'_, R, S, C> {
    fn input(&mut self, input: PartyInput, n: usize) -> Result<Masked, ChannelError> {
        let mut l = match input {
            PartyInput::Carol { mask } if mask.len() == n => mask,
            _ => return Err(ChannelError::Ours(format!("a mask of {n} elements is needed"))),
        };
        let mut alice = self.workspace.take(n);
        self.with_alice.words(self.tag(Purpose::Mask), 0, &mut alice);
        add_into::<R>(&mut l, &alice);
        self.workspace.give(alice);
        Ok(Masked { m: vec![], l })
    }
}
