//! What a player's batches are run with.

use std::sync::Arc;
use std::time::Duration;

use securemodel_link::mesh::Mesh;
use securemodel_mpc::role::Role;

use super::requests::Requests;
use crate::metrics::Counters;
use crate::model::Loaded;

/// How often an idle thread checks whether its epoch is still there.
pub(super) const IDLE: Duration = Duration::from_millis(200);

pub struct Engine {
    pub role: Role,
    pub mesh: Arc<Mesh<Loaded>>,
    pub requests: Arc<Requests>,
    pub counters: Arc<Counters>,
    /// How long a request may wait for others to share its batch.
    pub delay: Duration,
}
