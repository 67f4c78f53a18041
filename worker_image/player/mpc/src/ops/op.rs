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

    /// The messages that players send each other for it.
    fn messages(&self, protocol: ProtocolName) -> Messages {
        let _ = protocol;
        Messages::none()
    }
}

/// What an instruction sends: layouts, all for the same number of elements per row.
pub(crate) struct Messages {
    pub(crate) elements: usize,
    pub(crate) layouts: Vec<Layout>,
}

impl Messages {
    /// What a local instruction sends.
    fn none() -> Messages {
        Messages { elements: 0, layouts: vec![] }
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
