//! One request: what a client asks for, and the answer that it gets.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::refusal::Refusal;
use crate::model::Loaded;
use securemodel_link::announce::RequestId;
use securemodel_link::epoch::EpochId;

/// What a client asks of this player: a share of some rows, checked.
pub struct Inference {
    pub id: RequestId,
    pub rows: usize,
    pub share: Vec<u64>,
}

/// A finished request's output share.
pub struct Answer {
    pub output: Vec<u64>,
    pub loaded: Arc<Loaded>,
    pub epoch: EpochId,
    pub batch: u64,
    pub hops: u16,
}

/// What becomes of a request.
pub type Outcome = Result<Answer, Refusal>;

/// One request as this player has it.
pub struct Request {
    pub id: RequestId,
    pub rows: usize,
    /// Empty at bob once it was sent.
    pub share: Vec<u64>,
    pub reply: oneshot::Sender<Outcome>,
}

/// bob's share of a request under the mask of its number: x_b + λ_b.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedShare {
    pub number: u64,
    pub rows: usize,
    pub share: Vec<u64>,
}

/// What bob has sent alice for a request, and the mask that he used.
pub struct Sent {
    pub masked: MaskedShare,
    pub mask: Vec<u64>,
}
