//! bob and carol: take the batch that alice announces, and run their part.

use securemodel_link::announce::{parse_announcement, Entry};
use securemodel_link::epoch::RequestKeys;
use securemodel_link::frame::{Frame, Kind};
use securemodel_mpc::role::Role;
use securemodel_mpc::{request_mask, ChannelError, PartyInput};

use super::engine::IDLE;
use super::session::{Batch, Place, Session};
use crate::model::Loaded;

/// Runs the next batch, or waits a while for one.
pub(super) fn follow(session: &mut Session<'_>) -> Result<(), ChannelError> {
    let Some(frame) = session.epoch.links.recv_within(Role::Alice, IDLE)? else {
        session.rest();
        return Ok(());
    };

    let refuse = |why| ChannelError::Misbehaved(Role::Alice, why);
    let (rows, entries) = announced(session, &frame).map_err(refuse)?;
    let channel = session.channel(frame.header.hop);
    let loaded = session.loaded.clone();
    let input = match &mut session.request_keys {
        Some(keys) => carols_input(keys, &loaded, rows, &entries),
        None => bobs_input(session, rows, &entries),
    };
    let input = input.map_err(refuse)?;
    session.compute(Batch { channel, announcement: &frame.payload, rows, input }, Ok(()))
}

/// The rows of the batch together, and its requests.
fn announced(session: &Session<'_>, frame: &Frame) -> Result<(usize, Vec<Entry>), String> {
    let (batch, next) = (frame.header.batch, session.keys.next());
    if frame.header.kind != Kind::Announce {
        return Err("data outside a batch".into());
    }
    if batch != next {
        return Err(format!("batch {batch} announced, {next} is next"));
    }
    parse_announcement(&frame.payload, session.loaded.max_rows)
}

/// The masks of the requests, from the keys that carol has with bob.
fn carols_input(
    keys: &mut RequestKeys,
    loaded: &Loaded,
    rows: usize,
    entries: &[Entry],
) -> Result<PartyInput, String> {
    keys.reach(entries.iter().map(|entry| entry.number))?;
    let mut mask = Vec::with_capacity(rows * loaded.input);
    for entry in entries {
        let (digest, generation) = (&loaded.shares.digest, &loaded.shares.generation);
        let key = keys.find(entry.number, digest, generation)?;
        mask.extend(request_mask(&key, entry.rows * loaded.input));
    }

    Ok(PartyInput::Carol { mask })
}

/// What bob has sent alice of the requests. Requests already taken keep their places, whatever is
/// wrong with the next.
fn bobs_input(
    session: &mut Session<'_>,
    rows: usize,
    entries: &[Entry],
) -> Result<PartyInput, String> {
    let (mut masked, mut mask) = (session.tensor(rows), session.tensor(rows));
    for entry in entries {
        let (sent, request) = session.engine.requests.take(&session.epoch.id, entry)?;
        masked.extend_from_slice(&sent.masked.share);
        mask.extend_from_slice(&sent.mask);
        session.places.push(Place { rows: entry.rows, request });
    }
    Ok(PartyInput::Bob { masked, mask })
}
