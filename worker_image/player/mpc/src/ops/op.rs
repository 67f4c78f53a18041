//! What every instruction says about itself.

use super::form::{Earlier, Form, Shape};
use crate::message::Layout;
use crate::protocol::ProtocolName;

pub(crate) trait Op {
    /// The name that programs use.
    fn name(&self) -> &'static str;

    /// Of its value, in one row.
    fn shape(&self) -> &[usize];

    fn operands(&self) -> &[usize];

    /// Shape and form of its value, from those of its operands; or why it is refused.
    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String>;

    /// The layouts of all messages that players send each other for it.
    fn messages(&self, _: ProtocolName) -> Vec<Layout> {
        vec![]
    }

    /// How many elements of a row these messages are about, at most.
    fn message_elements(&self) -> usize {
        self.shape().iter().product()
    }

    /// How many times it sends them, one time after the other.
    fn levels(&self) -> usize {
        1
    }
}

/// The facts that every instruction states in the same fields.
macro_rules! facts {
    ($name:literal) => {
        facts!($name, with | op | &op.r#in);
    };
    ($name:literal, without operands) => {
        facts!($name, with | _op | &[]);
    };
    ($name:literal, with |$op:ident| $operands:expr) => {
        fn name(&self) -> &'static str {
            $name
        }

        fn shape(&self) -> &[usize] {
            &self.shape
        }

        fn operands(&self) -> &[usize] {
            let $op = self;
            $operands
        }
    };
}

pub(crate) use facts;
