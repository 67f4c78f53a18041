//! Runs batches, one after the other, on one thread. alice forms and announces them; bob and carol follow.

mod kept;
pub mod queue;
pub mod refusal;
pub mod request;
pub mod requests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::debug;

use crate::counters::Counters;
use crate::model::Loaded;
use refusal::Refusal;
use request::{Answer, MaskedShare, Request, Sent};
use requests::{Next, Requests};
use securemodel_link::announce::{announcement, parse_announcement, waiting, Entry};
use securemodel_link::epoch::{KeyChain, RequestKeys};
use securemodel_link::frame::{Frame, Header, Kind};
use securemodel_link::mesh::{Epoch, Mesh};
use securemodel_mpc::role::Role;
use securemodel_mpc::{Channel, ChannelError, Input, Workspace};

/// How often an idle engine looks whether its epoch is still there.
const IDLE: Duration = Duration::from_millis(200);
/// The hop of bob's WAITING; the client's request is 1.
const WAITING_HOP: u16 = 2;

/// What batches are run with.
pub struct Engine {
    pub role: Role,
    pub mesh: Arc<Mesh<Loaded>>,
    pub requests: Arc<Requests>,
    pub counters: Arc<Counters>,
    /// How long a request may wait for others to share its batch.
    pub delay: Duration,
}

/// Serves epoch after epoch, for as long as the process lives.
pub fn run(engine: &Engine) {
    loop {
        let Some((epoch, loaded)) = engine.mesh.serving(IDLE) else { continue };
        let keys = KeyChain::new(engine.role, &epoch.id, epoch.links.each_ref().map(|link| &link.secret));
        let requests = epoch.link(Role::Bob).ok().filter(|_| engine.role == Role::Carol).map(|bob| RequestKeys::new(&epoch.id, &bob.secret));
        let mut session = Session { engine, epoch, loaded, keys, requests, places: vec![], workspace: Workspace::default(), busy: Instant::now() };
        let error = session.serve();
        let why = engine.mesh.end_epoch(&session.epoch, error);
        session.fail(&Refusal::from(&why));
    }
}

/// Sends alice, as bob, his masked shares as they come, each under a number and a mask of its own. Runs on a thread of its own, so that alice has them while a batch
/// runs.
pub fn send_masked(engine: &Engine) {
    loop {
        let Some((epoch, loaded)) = engine.mesh.serving(IDLE) else { continue };
        let (Ok(alice), Ok(carol)) = (epoch.link(Role::Alice), epoch.link(Role::Carol)) else { continue };
        // a closed link stays closed, so the numbers of an epoch are never begun again
        let mut keys = RequestKeys::new(&epoch.id, &carol.secret);
        while !epoch.links.iter().any(|link| link.is_closed()) {
            for (id, rows, share) in engine.requests.take_untold(&epoch.id, IDLE) {
                let (number, key) = keys.take(&loaded.shares.digest, &loaded.shares.generation);
                let mask = securemodel_mpc::request_mask(&key, share.len());
                let share: Vec<u64> = share.iter().zip(&mask).map(|(x, mask)| x.wrapping_add(*mask)).collect();
                let payload = waiting(&Entry { id, rows, number }, &share);
                // first: alice may announce it before `send` returns
                engine.requests.sending(&epoch.id, id, Sent { masked: MaskedShare { number, rows, share }, mask });
                // when the link is lost, the epoch ends, and with it these requests
                let _ = alice.send(&Header { hop: WAITING_HOP, ..Header::control(Kind::Waiting) }, &payload);
            }
        }
    }
}

/// Some rows of a batch, and who waits for them here, if anybody.
struct Place {
    rows: usize,
    request: Option<Request>,
}

/// Batches of one epoch.
struct Session<'a> {
    engine: &'a Engine,
    epoch: Arc<Epoch<Loaded>>,
    loaded: Arc<Loaded>,
    keys: KeyChain,
    /// carol's end of bob's request keys.
    requests: Option<RequestKeys>,
    /// Of the batch that is formed or runs.
    places: Vec<Place>,
    workspace: Workspace,
    /// When a batch last ran.
    busy: Instant,
}

impl Session<'_> {
    /// Returns when the epoch is over.
    fn serve(&mut self) -> ChannelError {
        loop {
            let result = if self.engine.role == Role::Alice { self.lead() } else { self.follow() };
            if let Err(e) = result {
                return e;
            }
            if let Some(lost) = self.epoch.links.iter().find(|link| link.is_closed()) {
                return ChannelError::Lost(lost.peer);
            }
        }
    }

    fn lead(&mut self) -> Result<(), ChannelError> {
        let requests = &self.engine.requests;
        let batch = match requests.next_batch(&self.epoch.id, self.loaded.max_rows, self.engine.delay) {
            Next::Batch(batch) => batch,
            Next::Wait(due) => {
                self.rest();
                let wait = due.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()).min(IDLE));
                return self.epoch.links.wait(&requests.arrival, wait);
            }
        };
        let rows = batch.iter().map(|(request, _)| request.rows).sum();
        let payload = announcement(rows, batch.iter().map(|(request, masked)| Entry { id: request.id, rows: request.rows, number: masked.number }));
        let channel = self.channel(WAITING_HOP);
        let header = Header { kind: Kind::Announce, step: 0, hop: channel.next_hop(), instruction: 0, batch: channel.batch };
        let announced = self.epoch.links.iter().try_for_each(|link| self.epoch.links.send(link.peer, &header, &payload));
        let (mut share, mut bob) = (self.tensor(rows), self.tensor(rows));
        for (request, masked) in batch {
            share.extend_from_slice(&request.share);
            bob.extend_from_slice(&masked.share);
            self.places.push(Place { rows: request.rows, request: Some(request) });
        }
        self.compute(channel, &payload, rows, Input::Alice { share, bob }, announced)
    }

    fn follow(&mut self) -> Result<(), ChannelError> {
        let Some(frame) = self.epoch.links.recv_within(Role::Alice, IDLE)? else {
            self.rest();
            return Ok(());
        };
        let refuse = |why| ChannelError::Misbehaved(Role::Alice, why);
        let (rows, entries) = self.announced(&frame).map_err(refuse)?;
        let channel = self.channel(frame.header.hop);
        let mut mask = self.tensor(rows);
        if let Some(keys) = &mut self.requests {
            let shares = &self.loaded.shares;
            keys.reach(entries.iter().map(|entry| entry.number)).map_err(refuse)?;
            for entry in entries {
                let key = keys.find(entry.number, &shares.digest, &shares.generation).map_err(refuse)?;
                mask.extend(securemodel_mpc::request_mask(&key, entry.rows * self.loaded.input));
            }
            return self.compute(channel, &frame.payload, rows, Input::Carol { mask }, Ok(()));
        }
        let mut masked = self.tensor(rows);
        for entry in entries {
            let (sent, request) = self.engine.requests.take(&self.epoch.id, &entry).map_err(refuse)?;
            masked.extend_from_slice(&sent.masked.share);
            mask.extend_from_slice(&sent.mask);
            self.places.push(Place { rows: entry.rows, request });
        }
        self.compute(channel, &frame.payload, rows, Input::Bob { masked, mask }, Ok(()))
    }

    fn announced(&self, frame: &Frame) -> Result<(usize, Vec<Entry>), String> {
        if frame.header.kind != Kind::Announce {
            return Err("data outside a batch".into());
        }
        if frame.header.batch != self.keys.next() {
            return Err(format!("batch {} announced, {} is next", frame.header.batch, self.keys.next()));
        }
        parse_announcement(&frame.payload, self.loaded.max_rows)
    }

    /// Room for the input of so many rows.
    fn tensor(&self, rows: usize) -> Vec<u64> {
        Vec::with_capacity(rows * self.loaded.input)
    }

    /// A player that has been idle for a while is a small one.
    fn rest(&mut self) {
        if self.busy.elapsed() >= IDLE {
            self.workspace = Workspace::default();
        }
    }

    fn channel(&self, hop: u16) -> BatchChannel {
        BatchChannel { epoch: self.epoch.clone(), batch: self.keys.next(), hop }
    }

    /// Runs the batch and answers its requests. The number is spent, also if announcing it failed.
    fn compute(
        &mut self,
        mut channel: BatchChannel,
        announcement: &[u8],
        rows: usize,
        input: Input,
        announced: Result<(), ChannelError>,
    ) -> Result<(), ChannelError> {
        let shares = &self.loaded.shares;
        let keys = self.keys.take(&shares.digest, &shares.generation, announcement);
        let begin = Instant::now();
        let result = announced.and_then(|()| securemodel_mpc::run(shares, &keys, rows, input, &mut channel, &mut self.workspace));
        self.busy = Instant::now();
        let output = result.inspect_err(|e| debug!(batch = channel.batch, "the batch failed: {e}"))?; // the end of the epoch says it, with the peer's name
        let hops = channel.next_hop();
        self.engine.counters.batch(rows, self.busy - begin, hops);
        debug!(batch = channel.batch, rows, hops, "batch done");
        self.answer(&output.unwrap_or_default(), channel.batch, hops);
        Ok(())
    }

    /// Gives each request its own rows of the output.
    fn answer(&mut self, output: &[u64], batch: u64, hops: u16) {
        let mut rest = output;
        for place in self.places.drain(..) {
            let (own, others) = rest.split_at(place.rows * self.loaded.output);
            rest = others;
            if let Some(request) = place.request {
                let answer = Answer { output: own.to_vec(), loaded: self.loaded.clone(), epoch: self.epoch.id, batch, hops };
                let _ = request.reply.send(Ok(answer)); // the client may have left
            }
        }
    }

    /// The epoch is over, and with it the batch.
    fn fail(self, why: &Refusal) {
        for request in self.places.into_iter().filter_map(|place| place.request) {
            let _ = request.reply.send(Err(why.clone()));
        }
    }
}

/// The links as one batch sees them: tags frames and follows the longest chain of messages.
struct BatchChannel {
    epoch: Arc<Epoch<Loaded>>,
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
    fn send(&mut self, to: Role, instruction: u32, step: u8, words: &[u64]) -> Result<(), ChannelError> {
        let header = Header { kind: Kind::Data, step, hop: self.next_hop(), instruction, batch: self.batch };
        self.epoch.links.send(to, &header, bytemuck::cast_slice(words))
    }

    fn recv(&mut self, from: Role, instruction: u32, step: u8, words: usize) -> Result<Vec<u64>, ChannelError> {
        let Frame { header, payload } = self.epoch.links.recv(from)?;
        let got = (header.kind, header.batch, header.instruction, header.step, payload.len());
        let asked = (Kind::Data, self.batch, instruction, step, 8 * words);
        if got != asked {
            return Err(ChannelError::Misbehaved(from, format!("{got:?} where {asked:?} is next")));
        }
        self.hop = self.hop.max(header.hop);
        payload.into_words().ok_or_else(|| ChannelError::Misbehaved(from, "a message that is not whole words".into()))
    }

    fn recycle(&mut self, from: Role, buffer: Vec<u64>) {
        self.epoch.links.recycle(from, buffer);
    }
}
