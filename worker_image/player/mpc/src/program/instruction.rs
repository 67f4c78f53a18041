//! The instruction table: how a program spells each, and which file says what it is.

use serde::Deserialize;

use crate::ops::add::Add;
use crate::ops::input::ClientInput;
use crate::ops::linear::{Conv2d, Matmul, Multiply, Scale};
use crate::ops::op::Op;
use crate::ops::output::{Output, TruncateOutput};
use crate::ops::pooling::{MaxPool, SumPool};
use crate::ops::rearrange::{Concat, Gather, Reshape, Transpose};
use crate::ops::relu::{Relu, TruncateRelu};
use crate::ops::sum::{AddConstant, Subtract, Sum};
use crate::ops::truncate::Truncate;
use crate::ops::weight::StoredWeight;

macro_rules! instructions {
    ($($instruction:ident: $op:ident,)*) => {
        /// Instruction i defines value i. Operands are indices of earlier values.
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
        #[serde(tag = "op", rename_all = "snake_case")]
        pub(crate) enum Instruction {
            $($instruction($op),)*
        }

        impl Instruction {
            /// Every variant's name, for the comparison with the contract.
            #[cfg(test)]
            pub(crate) const VARIANTS: &[&str] = &[$(stringify!($instruction)),*];

            pub(crate) fn op(&self) -> &dyn Op {
                match self {
                    $(Instruction::$instruction(op) => op,)*
                }
            }
        }
    };
}

instructions! {
    Input: ClientInput,
    Weight: StoredWeight,
    Conv2d: Conv2d,
    Matmul: Matmul,
    Multiply: Multiply,
    Scale: Scale,
    Add: Add,
    Sum: Sum,
    Subtract: Subtract,
    AddConstant: AddConstant,
    SumPool: SumPool,
    MaxPool: MaxPool,
    Reshape: Reshape,
    Transpose: Transpose,
    Gather: Gather,
    Concat: Concat,
    Truncate: Truncate,
    Relu: Relu,
    TruncateRelu: TruncateRelu,
    Output: Output,
    TruncateOutput: TruncateOutput,
}

impl Instruction {
    pub(crate) fn is_input(&self) -> bool {
        matches!(self, Instruction::Input(_))
    }

    pub(crate) fn is_output(&self) -> bool {
        matches!(self, Instruction::Output(_) | Instruction::TruncateOutput(_))
    }
}
