//! Which comparison each protocol uses.

use super::comparison::Comparison;
use crate::message::{Layout, Part};
use crate::protocol::ProtocolName;
use crate::random::ring::Z64;
use crate::random::tag::Purpose;

/// Evaluates an expression with the protocol's comparison as `C`.
macro_rules! with_comparison {
    ($protocol:expr, $C:ident => $call:expr) => {
        match $protocol {
            $crate::protocol::ProtocolName::SecureNn => {
                type $C = $crate::compare::securenn::SecureNn;
                $call
            }
            $crate::protocol::ProtocolName::Astra => {
                type $C = $crate::compare::astra::Astra;
                $call
            }
        }
    };
}

pub(crate) use with_comparison;

/// What carol deals beforehand (`Comparison::parts`).
pub(crate) fn parts(protocol: ProtocolName, shift: Option<u32>) -> Vec<(Purpose, Part)> {
    with_comparison!(protocol, C => C::parts::<Z64>(shift))
}

/// The messages that follow (`Comparison::layouts`).
pub(crate) fn layouts(protocol: ProtocolName, shift: Option<u32>) -> Vec<Layout> {
    with_comparison!(protocol, C => C::layouts::<Z64>(shift))
}
