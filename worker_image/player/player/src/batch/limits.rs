//! How much may wait, and for how long.

use std::time::Duration;

use securemodel_link::epoch::MAX_SKIPPED;

/// Requests that wait at once.
pub const MAX_WAITING: usize = 512;
/// Bytes of their shares. The largest request fits several times: a batch has more of each element
/// (`model::MAX_HELD`).
pub(super) const MAX_BYTES: usize = 256 << 20;
/// What bob has sent and alice may still announce, including requests whose client has given up.
/// carol keeps as many keys.
pub(super) const MAX_SENT: usize = MAX_SKIPPED;
/// How long a share waits for its counterpart, at least; the same for both players, so that
/// neither counts on a share that the other has given up on.
pub const COUNTERPART: Duration = Duration::from_secs(5);

/// How long bob keeps what he sent to alice. She holds it until its counterpart comes, then it
/// waits for a batch to have room, and the announcement for the batch before it; `batch`: how long
/// a batch may take.
pub(super) fn sent(batch: Duration) -> Duration {
    2 * COUNTERPART + 2 * batch
}
