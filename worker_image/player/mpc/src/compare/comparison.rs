//! What a protocol's comparison has to provide.

use crate::channel::ChannelError;
use crate::message::{Layout, Part};
use crate::party::data::{Data, Difference};
use crate::party::helper::Helper;
use crate::random::prg::Source;
use crate::random::ring::Ring;
use crate::random::tag::Purpose;
use crate::values::Masked;

/// y = t if t ≥ T, else 0, for |t − T| < 2^(WINDOW - 1); the threshold T is 0 but for some relus.
pub(crate) trait Comparison: Sized {
    /// What carol deals for it beforehand; `shift` if t comes from a truncation.
    fn parts<R: Ring>(shift: Option<u32>) -> Vec<(Purpose, Part)>;

    /// The messages that follow.
    fn layouts<R: Ring>(shift: Option<u32>) -> Vec<Layout>;

    /// carol's part, beforehand: `r` is R, `msb` the plane of ρ_m and the shift.
    fn deal<R: Ring, S: Source>(
        helper: &mut Helper<R, S, Self>,
        r: &[u64],
        msb: Option<(&[u64], u32)>,
        layout: &Layout,
        message: &mut [u64],
    );

    /// carol's part, while alice and bob compare.
    fn assist<R: Ring, S: Source>(
        helper: &mut Helper<R, S, Self>,
        r: &[u64],
        msb: Option<(&[u64], u32)>,
    ) -> Result<(), ChannelError>;

    /// What alice and bob do.
    fn select<R: Ring, S: Source>(
        data: &mut Data<R, S, Self>,
        t: Difference,
    ) -> Result<Masked, ChannelError>;
}
