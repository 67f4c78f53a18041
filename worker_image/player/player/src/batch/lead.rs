//! alice: joins waiting requests into a batch, announces it, and runs her part.

use std::time::Instant;

use securemodel_link::announce::{write_announcement, Entry};
use securemodel_link::frame::{Header, Kind};
use securemodel_mpc::{ChannelError, PartyInput};

use super::engine::IDLE;
use super::masking::WAITING_HOP;
use super::requests::Next;
use super::session::{Batch, Place, Session};

/// Runs the next batch, or waits a while for one.
pub(super) fn lead(session: &mut Session<'_>) -> Result<(), ChannelError> {
    let (engine, epoch) = (session.engine, session.epoch.clone());
    let max_rows = session.loaded.max_rows;
    let batch = match engine.requests.next_batch(&epoch.id, max_rows, engine.delay) {
        Next::Batch(batch) => batch,
        Next::Wait(due) => {
            session.rest();
            let left = |due: Instant| due.saturating_duration_since(Instant::now());
            let wait = due.map_or(IDLE, |due| left(due).min(IDLE));
            return epoch.links.wait(&engine.requests.arrival, wait);
        }
    };

    let rows = batch.iter().map(|(request, _)| request.rows).sum();
    let entries = batch.iter().map(|(request, masked)| Entry {
        id: request.id,
        rows: request.rows,
        number: masked.number,
    });
    let payload = write_announcement(rows, entries);
    let channel = session.channel(WAITING_HOP);
    let (hop, batch_number) = (channel.next_hop(), channel.batch);
    let header = Header { hop, batch: batch_number, ..Header::control(Kind::Announce) };
    let announced =
        epoch.links.iter().try_for_each(|link| epoch.links.send(link.peer, &header, &payload));

    let (mut share, mut bob) = (session.tensor(rows), session.tensor(rows));
    for (request, masked) in batch {
        share.extend_from_slice(&request.share);
        bob.extend_from_slice(&masked.share);
        session.places.push(Place { rows: request.rows, request: Some(request) });
    }
    let input = PartyInput::Alice { share, bob };
    session.compute(Batch { channel, announcement: &payload, rows, input }, announced)
}
