//! Runs batches, one after the other, on one thread. alice forms and announces them; bob and carol follow.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, warn};

use crate::counters::Counters;
use crate::loaded::Loaded;
use crate::mpc::{self, Channel, ChannelError};
use crate::net::epoch::KeyChain;
use crate::net::frame::{Frame, Header, Kind};
use crate::net::mesh::Epoch;
use crate::player::Player;
use crate::role::Role;
use crate::serve::error::ApiError;
use crate::serve::requests::{Answer, Request, RequestId};

/// How often an idle engine looks whether its epoch is still there.
const IDLE: Duration = Duration::from_millis(200);
/// The hop of bob's WAITING; the client's request is 1.
const WAITING_HOP: u16 = 2;
/// A request in a WAITING or ANNOUNCE frame: id and rows.
const ENTRY: usize = 20;

/// Serves epoch after epoch, for as long as the process lives.
pub fn run(player: &Player) {
    loop {
        let Some((epoch, loaded)) = player.mesh.serving(IDLE) else { continue };
        let keys = KeyChain::new(player.role, &epoch.id, epoch.links.each_ref().map(|link| &link.secret));
        let mut session = Session { player, epoch, loaded, keys };
        let ended = session.serve();
        player.mesh.end_epoch(&session.epoch.id, &ended.to_string());
    }
}

/// Tells alice, as bob, which shares have come. Runs on a thread of its own, so that alice hears of them while a batch runs.
pub fn report_waiting(player: &Player) {
    loop {
        let ids = player.requests.take_untold(IDLE);
        if let (false, Some(epoch)) = (ids.is_empty(), player.mesh.epoch()) {
            let header = Header { hop: WAITING_HOP, ..Header::control(Kind::Waiting) };
            // when the link is lost, the epoch ends, and with it these requests
            let _ = epoch.link(Role::Alice).and_then(|link| link.send(&header, &entries(ids.into_iter())));
        }
    }
}

fn entries(requests: impl Iterator<Item = (RequestId, usize)>) -> Vec<u8> {
    requests.flat_map(|(id, rows)| id.into_iter().chain((rows as u32).to_le_bytes())).collect()
}

/// The requests in a WAITING frame, or in an ANNOUNCE frame after its count.
pub fn entries_of(list: &[u8]) -> Result<impl Iterator<Item = (RequestId, usize)> + '_, String> {
    if list.len() % ENTRY != 0 {
        return Err(format!("a list of {} bytes; its entries have {ENTRY}", list.len()));
    }
    Ok(list.chunks_exact(ENTRY).map(|entry| {
        let (mut id, mut rows) = ([0; 16], [0; 4]);
        id.copy_from_slice(&entry[..16]);
        rows.copy_from_slice(&entry[16..]);
        (id, u32::from_le_bytes(rows) as usize)
    }))
}

/// Some rows of a batch, and who waits for them here, if anybody.
struct Place {
    rows: usize,
    request: Option<Request>,
}

/// Batches of one epoch.
struct Session<'a> {
    player: &'a Player,
    epoch: Arc<Epoch>,
    loaded: Arc<Loaded>,
    keys: KeyChain,
}

impl Session<'_> {
    /// Returns when the epoch is over.
    fn serve(&mut self) -> ChannelError {
        loop {
            let result = if self.player.role == Role::Alice { self.lead() } else { self.follow() };
            if let Err(e) = result {
                return e;
            }
            if let Some(lost) = self.epoch.links.iter().find(|link| link.is_closed()) {
                return ChannelError::Lost(lost.peer);
            }
        }
    }

    fn lead(&mut self) -> Result<(), ChannelError> {
        let batch = self.player.requests.take_batch(&self.epoch.id, self.loaded.max_rows, IDLE);
        if batch.is_empty() {
            return Ok(());
        }
        let rows: usize = batch.iter().map(|request| request.rows).sum();
        let mut payload = (rows as u32).to_le_bytes().to_vec();
        payload.extend(entries(batch.iter().map(|request| (request.id, request.rows))));
        let channel = self.channel(WAITING_HOP);
        let header = Header { kind: Kind::Announce, step: 0, hop: channel.next_hop(), instruction: 0, batch: channel.batch };
        let announced = self.epoch.links.iter().try_for_each(|link| link.send(&header, &payload));
        let input = batch.iter().flat_map(|request| request.share.iter().copied()).collect();
        let places = batch.into_iter().map(|request| Place { rows: request.rows, request: Some(request) }).collect();
        self.compute(channel, rows, Some(input), places, announced)
    }

    fn follow(&mut self) -> Result<(), ChannelError> {
        let Some(frame) = self.epoch.link(Role::Alice)?.recv_within(IDLE)? else { return Ok(()) };
        let (rows, ids) = self.announcement(&frame).map_err(|why| ChannelError::Protocol(Role::Alice, why))?;
        let channel = self.channel(frame.header.hop);
        if self.player.role == Role::Carol {
            return self.compute(channel, rows, None, vec![], Ok(()));
        }
        let mut input = Vec::with_capacity(rows * self.loaded.input);
        let mut places = Vec::with_capacity(ids.len());
        for (id, rows) in ids {
            // None: given up meanwhile, its client has had its error; zeros keep the others' rows in place
            let request = self.player.requests.take(&self.epoch.id, &id).filter(|request| request.rows == rows);
            match &request {
                Some(request) => input.extend_from_slice(&request.share),
                None => input.resize(input.len() + rows * self.loaded.input, 0),
            }
            places.push(Place { rows, request });
        }
        self.compute(channel, rows, Some(input), places, Ok(()))
    }

    fn announcement(&self, frame: &Frame) -> Result<(usize, Vec<(RequestId, usize)>), String> {
        if frame.header.kind != Kind::Announce {
            return Err("data outside a batch".into());
        }
        if frame.header.batch != self.keys.next() {
            return Err(format!("batch {} announced, {} is next", frame.header.batch, self.keys.next()));
        }
        let (rows, list) = frame.payload.split_first_chunk::<4>().ok_or("a short announcement")?;
        let rows = u32::from_le_bytes(*rows) as usize;
        let ids: Vec<(RequestId, usize)> = entries_of(list)?.collect();
        let sum = ids.iter().try_fold(0usize, |sum, (_, rows)| sum.checked_add(*rows).filter(|_| *rows > 0));
        if sum != Some(rows) || !(1..=self.loaded.max_rows).contains(&rows) {
            return Err(format!("an announcement of {rows} rows; 1 to {} are served, give all players the same --max-rows", self.loaded.max_rows));
        }
        Ok((rows, ids))
    }

    fn channel(&self, hop: u16) -> BatchChannel {
        BatchChannel { epoch: self.epoch.clone(), batch: self.keys.next(), hop }
    }

    /// Runs the batch and answers its requests. The number is spent, also if announcing it failed.
    fn compute(
        &mut self,
        mut channel: BatchChannel,
        rows: usize,
        input: Option<Vec<u64>>,
        places: Vec<Place>,
        announced: Result<(), ChannelError>,
    ) -> Result<(), ChannelError> {
        let shares = &self.loaded.shares;
        let keys = self.keys.take(&shares.digest, &shares.generation);
        match announced.and_then(|()| mpc::run(shares, &keys, rows, input, &mut channel)) {
            Ok(output) => {
                let hops = channel.next_hop();
                let counters = &self.player.counters;
                Counters::add(&counters.batches, 1);
                Counters::add(&counters.rows, rows);
                counters.hops.store(u64::from(hops), Ordering::Relaxed);
                debug!(batch = channel.batch, rows, hops, "batch done");
                self.answer(places, &output.unwrap_or_default(), channel.batch, hops);
                Ok(())
            }
            Err(e) => {
                warn!(batch = channel.batch, "the batch failed: {e}");
                for request in places.into_iter().filter_map(|place| place.request) {
                    let _ = request.reply.send(Err(ApiError::from(&e)));
                }
                Err(e)
            }
        }
    }

    /// Gives each request its own rows of the output.
    fn answer(&self, places: Vec<Place>, output: &[u64], batch: u64, hops: u16) {
        let mut rest = output;
        for place in places {
            let (own, others) = rest.split_at(place.rows * self.loaded.output);
            rest = others;
            if let Some(request) = place.request {
                let answer = Answer { output: own.to_vec(), loaded: self.loaded.clone(), epoch: self.epoch.id, batch, hops };
                let _ = request.reply.send(Ok(answer)); // the client may have left
            }
        }
    }
}

/// The links as one batch sees them: tags frames and follows the longest chain of messages.
struct BatchChannel {
    epoch: Arc<Epoch>,
    batch: u64,
    /// The largest hop received so far.
    hop: u16,
}

impl BatchChannel {
    fn next_hop(&self) -> u16 {
        self.hop.saturating_add(1)
    }
}

impl Channel for BatchChannel {
    fn send(&mut self, to: Role, instruction: u32, step: u8, payload: &[u8]) -> Result<(), ChannelError> {
        let header = Header { kind: Kind::Data, step, hop: self.next_hop(), instruction, batch: self.batch };
        self.epoch.link(to)?.send(&header, payload)
    }

    fn recv(&mut self, from: Role, instruction: u32, step: u8, len: usize) -> Result<Vec<u8>, ChannelError> {
        let Frame { header, payload } = self.epoch.link(from)?.recv()?;
        let got = (header.kind, header.batch, header.instruction, header.step, payload.len());
        let asked = (Kind::Data, self.batch, instruction, step, len);
        if got != asked {
            return Err(ChannelError::Protocol(from, format!("{got:?} where {asked:?} is next")));
        }
        self.hop = self.hop.max(header.hop);
        Ok(payload)
    }
}
