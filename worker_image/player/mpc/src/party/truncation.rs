//! What carol deals for a truncation by `shift` bits (docs/protocol.md, Truncation).

use crate::message::Part;
use crate::random::tag::Purpose;

/// ⟨R⟩, and ⟨ρ_m⟩ modulo 2^(shift + 1).
pub(crate) fn parts(shift: u32) -> Vec<(Purpose, Part)> {
    vec![(Purpose::R, Part::Words), (Purpose::RhoM, Part::Planes(shift as usize + 1))]
}
