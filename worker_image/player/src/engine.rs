//! Runs batches, one after the other, on one thread. alice forms and announces them; bob and carol follow.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, warn};

use crate::mpc::{self, Channel, ChannelError};
use crate::net::epoch::KeyChain;
use crate::net::frame::{Frame, Header, Kind};
use crate::net::link::Link;
use crate::net::mesh::{link_to, Epoch, Readiness};
use crate::player::{Counters, Player};
use crate::role::Role;
use crate::serve::error::ApiError;
use crate::serve::requests::{Answer, Request, RequestId};
use crate::shares::Shares;

const IDLE: Duration = Duration::from_millis(200);

/// Serves epoch after epoch, for as long as the process lives.
pub fn run(player: &Player) {
    loop {
        let Some(epoch) = player.mesh.epoch(IDLE) else { continue };
        let Some(shares) = player.shares() else {
            std::thread::sleep(IDLE);
            continue;
        };
        let keys = KeyChain::new(player.role, &epoch.id, epoch.links.each_ref().map(|link| &link.secret));
        let mut session = Session { player, epoch, shares, keys };
        let ended = session.serve();
        player.mesh.end_epoch(&session.epoch.id, &ended.to_string());
    }
}

/// Tells alice, as bob, which shares have come. Runs on a thread of its own, so that alice hears of them while a batch runs.
pub fn report_waiting(player: &Player) {
    loop {
        let ids = player.requests.take_untold(IDLE);
        let Some(epoch) = player.mesh.epoch(Duration::ZERO).filter(|_| !ids.is_empty()) else { continue };
        // hop 2: the client's request was 1
        let header = Header { hop: 2, ..Header::control(Kind::Waiting) };
        if let Ok(link) = link_to(&epoch, Role::Bob, Role::Alice) {
            let _ = link.send(&header, &entries(ids.into_iter())); // a lost link ends the epoch, and with it these requests
        }
    }
}

fn entries(requests: impl Iterator<Item = (RequestId, usize)>) -> Vec<u8> {
    requests.flat_map(|(id, rows)| id.into_iter().chain((rows as u32).to_le_bytes())).collect()
}

/// A request in a WAITING or ANNOUNCE frame: id and rows.
pub fn entry(bytes: &[u8]) -> (RequestId, usize) {
    let (mut id, mut rows) = ([0; 16], [0; 4]);
    id.copy_from_slice(&bytes[..16]);
    rows.copy_from_slice(&bytes[16..20]);
    (id, u32::from_le_bytes(rows) as usize)
}

/// Batches of one epoch.
struct Session<'a> {
    player: &'a Player,
    epoch: Arc<Epoch>,
    shares: Arc<Shares>,
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
        let batch = self.player.requests.take_batch(self.player.max_rows, IDLE);
        if batch.is_empty() {
            return Ok(());
        }
        if self.player.mesh.readiness() != Readiness::Ready {
            return self.finish(batch, 0, Err(ChannelError::Lost(Role::Alice)), 0);
        }
        let rows: usize = batch.iter().map(|r| r.rows).sum();
        let mut payload = (rows as u32).to_le_bytes().to_vec();
        payload.extend(entries(batch.iter().map(|r| (r.id, r.rows))));
        let mut channel = self.channel(2); // she has bob's WAITING
        let header = Header { kind: Kind::Announce, step: 0, hop: channel.hop + 1, instruction: 0, batch: channel.batch };
        let announced = self.epoch.links.iter().try_for_each(|link| link.send(&header, &payload));
        let input = batch.iter().flat_map(|r| r.share.iter().copied()).collect();
        let result = announced.and_then(|()| self.compute(rows, Some(input), &mut channel));
        self.finish(batch, channel.batch, result, channel.hop)
    }

    fn follow(&mut self) -> Result<(), ChannelError> {
        let Some(frame) = link_to(&self.epoch, self.player.role, Role::Alice)?.recv_within(IDLE)? else { return Ok(()) };
        let (rows, ids) = self.announcement(&frame).map_err(|why| ChannelError::Protocol(Role::Alice, why))?;
        let mut channel = self.channel(frame.header.hop);
        if self.player.role == Role::Carol {
            let result = self.compute(rows, None, &mut channel);
            return self.finish(vec![], channel.batch, result, channel.hop);
        }
        let mut input = Vec::with_capacity(rows * self.row());
        let mut batch = Vec::new();
        for (id, rows) in &ids {
            match self.player.requests.take(id).filter(|request| request.rows == *rows) {
                Some(request) => {
                    input.extend_from_slice(&request.share);
                    batch.push(request);
                }
                // given up meanwhile; its client has had its error already
                None => input.resize(input.len() + *rows * self.row(), 0),
            }
        }
        let result = self.compute(rows, Some(input), &mut channel);
        self.finish_at(batch, &ids, channel.batch, result, channel.hop)
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
        if list.len() % 20 != 0 {
            return Err("a broken announcement".into());
        }
        let ids: Vec<(RequestId, usize)> = list.chunks_exact(20).map(entry).collect();
        let sum = ids.iter().try_fold(0usize, |sum, (_, rows)| sum.checked_add(*rows).filter(|_| *rows > 0));
        if sum != Some(rows) || rows == 0 || rows > self.player.max_rows {
            return Err(format!("an announcement of {rows} rows; 1 to {} are served", self.player.max_rows));
        }
        Ok((rows, ids))
    }

    fn row(&self) -> usize {
        self.shares.program.input_shape().iter().product()
    }

    fn channel(&self, hop: u16) -> BatchChannel {
        BatchChannel { epoch: self.epoch.clone(), role: self.player.role, batch: self.keys.next(), hop, sent: 0, received: 0 }
    }

    fn compute(&mut self, rows: usize, input: Option<Vec<u64>>, channel: &mut BatchChannel) -> Result<Option<Vec<u64>>, ChannelError> {
        let keys = self.keys.take(&self.shares.digest, &self.shares.generation);
        let result = mpc::run(&self.shares, &keys, rows, input, channel);
        let counters = &self.player.counters;
        Counters::add(&counters.batches, 1);
        Counters::add(&counters.rows, rows);
        Counters::add(&counters.bytes_sent, channel.sent);
        Counters::add(&counters.bytes_received, channel.received);
        counters.hops.store(u64::from(channel.hop) + 1, Ordering::Relaxed);
        debug!(batch = channel.batch, rows, hops = channel.hop + 1, "batch done");
        result
    }

    fn finish(&self, batch: Vec<Request>, number: u64, result: Result<Option<Vec<u64>>, ChannelError>, hop: u16) -> Result<(), ChannelError> {
        let places: Vec<(RequestId, usize)> = batch.iter().map(|r| (r.id, r.rows)).collect();
        self.finish_at(batch, &places, number, result, hop)
    }

    /// Gives each request of the batch its own rows of the result, or the error. `places`: all requests of the batch in order.
    fn finish_at(
        &self,
        mut batch: Vec<Request>,
        places: &[(RequestId, usize)],
        number: u64,
        result: Result<Option<Vec<u64>>, ChannelError>,
        hop: u16,
    ) -> Result<(), ChannelError> {
        match result {
            Ok(output) => {
                let output = output.unwrap_or_default();
                let width: usize = self.shares.program.output_shape().iter().product();
                let mut at = 0;
                for (id, rows) in places {
                    let end = at + rows * width;
                    if let Some(i) = batch.iter().position(|request| request.id == *id) {
                        let output = output[at..end].to_vec();
                        let answer = Answer { output, epoch: self.epoch.id, batch: number, hops: hop + 1 };
                        let _ = batch.swap_remove(i).reply.send(Ok(answer)); // the client may have left
                    }
                    at = end;
                }
                Ok(())
            }
            Err(e) => {
                warn!(batch = number, "the batch failed: {e}");
                let error = ApiError::from(&e);
                for request in batch {
                    let _ = request.reply.send(Err(error.clone()));
                }
                Err(e)
            }
        }
    }
}

/// The links as one batch sees them: tags frames, counts bytes and the longest chain.
struct BatchChannel {
    epoch: Arc<Epoch>,
    role: Role,
    batch: u64,
    /// The largest hop received so far.
    hop: u16,
    sent: usize,
    received: usize,
}

impl BatchChannel {
    fn link(&self, peer: Role) -> Result<&Arc<Link>, ChannelError> {
        link_to(&self.epoch, self.role, peer)
    }
}

impl Channel for BatchChannel {
    fn send(&mut self, to: Role, instruction: u32, step: u8, payload: &[u8]) -> Result<(), ChannelError> {
        let header = Header { kind: Kind::Data, step, hop: self.hop + 1, instruction, batch: self.batch };
        self.sent += crate::net::frame::HEADER + payload.len();
        self.link(to)?.send(&header, payload)
    }

    fn recv(&mut self, from: Role, instruction: u32, step: u8, len: usize) -> Result<Vec<u8>, ChannelError> {
        let frame = self.link(from)?.recv()?;
        let got = (frame.header.kind, frame.header.batch, frame.header.instruction, frame.header.step, frame.payload.len());
        let asked = (Kind::Data, self.batch, instruction, step, len);
        if got != asked {
            return Err(ChannelError::Protocol(from, format!("{got:?} where {asked:?} is next")));
        }
        self.received += crate::net::frame::HEADER + len;
        self.hop = self.hop.max(frame.header.hop);
        Ok(frame.payload)
    }
}
