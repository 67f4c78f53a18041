//! Runs batches, one after another, on one thread.

use securemodel_mpc::role::Role;
use securemodel_mpc::ChannelError;

use super::engine::{Engine, IDLE};
use super::follow::follow;
use super::lead::lead;
use super::refusal::Refusal;
use super::session::Session;

/// Serves epoch after epoch, for as long as the process lives.
pub fn run(engine: &Engine) {
    loop {
        let Some((epoch, loaded)) = engine.mesh.serving(IDLE) else { continue };
        let mut session = Session::new(engine, epoch, loaded);
        let error = serve(&mut session);
        let why = engine.mesh.end_epoch(&session.epoch, error);
        session.fail(&Refusal::from(&why));
    }
}

/// Returns when the epoch is over.
fn serve(session: &mut Session<'_>) -> ChannelError {
    let step = if session.engine.role == Role::Alice { lead } else { follow };
    loop {
        if let Err(e) = step(session) {
            return e;
        }
        if let Some(lost) = session.epoch.links.iter().find(|link| link.is_closed()) {
            return ChannelError::Lost(lost.peer);
        }
    }
}
