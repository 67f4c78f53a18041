//! What values are, and what an instruction asks of its operands (docs/program.md).

use serde::{Deserialize, Deserializer};

/// A tensor's shape in one row of the batch.
pub(crate) type Shape = Vec<usize>;

pub(crate) const FRACTION_BITS: u32 = 16;
pub(crate) const MAX_ELEMENTS: usize = 1 << 28;
const MAX_SHIFT: u32 = 31;

/// What a value is at run time (docs/protocol.md, Notation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `truncated`: there is a truncation on every path from the input to here.
    Masked {
        truncated: bool,
    },
    Product,
    Weight {
        scale: u32,
    },
    Nothing,
}

/// The values that an instruction may read: all earlier ones.
pub(crate) struct Earlier<'a> {
    pub(crate) shapes: &'a [&'a [usize]],
    pub(crate) forms: &'a [Form],
}

impl<'a> Earlier<'a> {
    pub(crate) fn form(&self, value: usize) -> Form {
        self.forms[value]
    }

    fn shape(&self, value: usize) -> &'a [usize] {
        self.shapes[value]
    }

    pub(crate) fn masked(&self, value: usize) -> Result<&'a [usize], String> {
        self.expect(value, "a masked value", |form| matches!(form, Form::Masked { .. }))
    }

    /// The form of what is made from masked values alone: truncated where all of them are.
    pub(crate) fn joined(&self, values: &[usize]) -> Form {
        let truncated = Form::Masked { truncated: true };
        Form::Masked { truncated: values.iter().all(|value| self.form(*value) == truncated) }
    }

    pub(crate) fn truncated(&self, value: usize) -> Result<&'a [usize], String> {
        let what = "truncated since the input: only a truncated value may be output";
        self.masked(value)?;
        self.expect(value, what, |form| form == Form::Masked { truncated: true })
    }

    pub(crate) fn product(&self, value: usize) -> Result<&'a [usize], String> {
        self.expect(value, "a product", |form| form == Form::Product)
    }

    pub(crate) fn weight(&self, value: usize) -> Result<&'a [usize], String> {
        let expected = Form::Weight { scale: FRACTION_BITS };
        self.expect(value, "a weight of scale 16", |form| form == expected)
    }

    pub(crate) fn bias(&self, value: usize) -> Result<&'a [usize], String> {
        let is_bias = |form| matches!(form, Form::Weight { scale } if scale > FRACTION_BITS);
        self.expect(value, "a bias (a weight of a product's scale)", is_bias)
    }

    fn expect(
        &self,
        value: usize,
        what: &str,
        holds: impl Fn(Form) -> bool,
    ) -> Result<&'a [usize], String> {
        if holds(self.form(value)) {
            Ok(self.shape(value))
        } else {
            Err(format!("operand {value} is not {what}"))
        }
    }
}

/// The number of elements, or nothing if there are none or too many.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    let product = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
    (!shape.is_empty() && (1..=MAX_ELEMENTS).contains(&product)).then_some(product)
}

/// Refuses a shift that is out of range.
pub(crate) fn check_shift(shift: u32) -> Result<(), String> {
    if (1..=MAX_SHIFT).contains(&shift) {
        Ok(())
    } else {
        Err(format!("shift {shift} is not in 1 … {MAX_SHIFT}"))
    }
}

/// Whether numpy broadcasts a weight to this shape and no further: they are aligned at the right,
/// and each axis of the weight is equal or 1.
pub(crate) fn broadcasts(weight: &[usize], shape: &[usize]) -> bool {
    let mut axes = weight.iter().rev().zip(shape.iter().rev());
    weight.len() <= shape.len() && axes.all(|(own, whole)| own == whole || *own == 1)
}

/// How many windows there are along each side of an image, valid padding; nothing if none fits.
pub(crate) fn windows(
    image: [usize; 2],
    window: [usize; 2],
    dilation: [usize; 2],
    stride: [usize; 2],
) -> Option<[usize; 2]> {
    let side = |i: usize| {
        let span = window[i].checked_sub(1)?.checked_mul(dilation[i])?.checked_add(1)?;
        (dilation[i] > 0 && stride[i] > 0).then_some(())?;
        Some(image[i].checked_sub(span)? / stride[i] + 1)
    };
    Some([side(0)?, side(1)?])
}

/// Reads a key that may be left out, and may not be null.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    key: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(key).map(Some)
}
