//! weight: a tensor of the share file (local).

use serde::Deserialize;

use super::form::{Earlier, Form, Shape, FRACTION_BITS};
use super::op::{facts, Op};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredWeight {
    pub(crate) shape: Shape,
    scale: u32,
}

impl Op for StoredWeight {
    facts!("weight", without operands);

    fn check(&self, _: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let scale = self.scale;
        if !(FRACTION_BITS..62).contains(&scale) {
            return Err(format!("scale {scale} is not in {FRACTION_BITS} … 61"));
        }
        Ok((self.shape.clone(), Form::Weight { scale }))
    }
}

impl StoredWeight {
    /// Whether it is added to a product, and not multiplied with a value.
    pub(crate) fn is_bias(&self) -> bool {
        self.scale > FRACTION_BITS
    }
}
