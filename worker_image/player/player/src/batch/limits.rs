//! How much may wait, and for how long.

use std::time::Duration;

use securemodel_link::epoch::MAX_SKIPPED;

use crate::model::MAX_SHARE;

/// Requests that wait at once.
pub const MAX_WAITING: usize = 512;
/// Bytes of their shares. The largest request fits twice.
pub(super) const MAX_BYTES: usize = 2 * MAX_SHARE;
/// What bob has sent and alice may still announce, including requests whose client has given up.
/// carol keeps as many keys.
pub(super) const MAX_SENT: usize = MAX_SKIPPED;
/// How long a share waits for its counterpart; the same for both players, so that neither counts on
/// a share that the other has given up on.
pub const COUNTERPART: Duration = Duration::from_secs(5);
/// How long bob keeps what he sent to alice: she announces it within twice COUNTERPART, and the
/// announcement may wait for the batch before it.
pub(super) const SENT: Duration = Duration::from_secs(20);
