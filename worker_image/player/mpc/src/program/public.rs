//! What a program says to its clients: data that players carry, and do not act on.

use serde::{de, Deserialize, Deserializer, Serialize};

use crate::ops::form::present;

const MAX_FUNCTIONS: usize = 16;
const MAX_LABELS: usize = 10_000;
/// Characters of a label, and of a word or a number.
const MAX_LABEL: usize = 256;
const MAX_WORD: usize = 64;

/// The public face of a model; keys that say nothing are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// What the client applies to the output, in order.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Function>,
    /// The names of the classes: as many as the output's last axis has.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// A function of contract/functions.json, with what it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    pub function: String,
    /// Of the output with its batch in front; negative from the end.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub axis: Option<i64>,
    /// A decimal number.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub alpha: Option<String>,
}

/// Reads a list that has something in it.
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(key: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(key)?;
    if list.is_empty() {
        return Err(de::Error::custom("an empty list, where the key is left out"));
    }
    Ok(list)
}

impl Public {
    /// Why it does not go with an output of this shape, in one row.
    pub(crate) fn check(&self, output: &[usize]) -> Result<(), String> {
        if *self == Public::default() {
            return Err("it says nothing, and is then left out".into());
        }
        if self.functions.len() > MAX_FUNCTIONS {
            return Err(format!("{} functions, more than {MAX_FUNCTIONS}", self.functions.len()));
        }
        self.functions.iter().try_for_each(|function| function.check(output.len() + 1))?;
        self.check_labels(output.last().copied().unwrap_or(0))
    }

    fn check_labels(&self, classes: usize) -> Result<(), String> {
        let count = self.labels.len();
        if count > MAX_LABELS {
            return Err(format!("{count} labels, more than {MAX_LABELS}"));
        }
        if count != 0 && count != classes {
            return Err(format!("{count} labels for an output whose last axis has {classes}"));
        }
        match self.labels.iter().position(|label| label.chars().count() > MAX_LABEL) {
            Some(at) => Err(format!("label {at} has more than {MAX_LABEL} characters")),
            None => Ok(()),
        }
    }
}

impl Function {
    /// Why it is none of an output of that many axes.
    fn check(&self, axes: usize) -> Result<(), String> {
        let Function { function, axis, alpha } = self;
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !(1..=MAX_WORD).contains(&function.len()) || !function.chars().all(is_word) {
            return Err(format!("{function:?} is not the word of a function"));
        }
        let (axes, is_axis) =
            (axes as i64, |axis: &i64| (-(axes as i64)..axes as i64).contains(axis));
        if let Some(axis) = axis.filter(|axis| !is_axis(axis)) {
            return Err(format!("axis {axis} of {function} is none of the output's {axes}"));
        }
        let is_number =
            |alpha: &str| alpha.len() <= MAX_WORD && alpha.parse::<f64>().is_ok_and(f64::is_finite);
        match alpha.as_deref().filter(|alpha| !is_number(alpha)) {
            Some(alpha) => Err(format!("alpha {alpha:?} of {function} is not a decimal number")),
            None => Ok(()),
        }
    }
}
