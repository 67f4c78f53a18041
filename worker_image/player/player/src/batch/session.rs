//! The batches of one epoch: what leading and following have in common.

use std::sync::Arc;
use std::time::Instant;

use securemodel_link::epoch::{KeyChain, RequestKeys};
use securemodel_link::mesh::Epoch;
use securemodel_mpc::role::Role;
use securemodel_mpc::{ChannelError, PartyInput, Workspace};
use tracing::debug;

use super::channel::BatchChannel;
use super::engine::{Engine, IDLE};
use super::refusal::Refusal;
use super::request::{Answer, Request};
use crate::model::Loaded;

/// Some rows of a batch, and the request that waits for them here, if any.
pub(super) struct Place {
    pub(super) rows: usize,
    pub(super) request: Option<Request>,
}

/// A batch as it was announced.
pub(super) struct Batch<'a> {
    pub(super) channel: BatchChannel,
    /// The payload of the announcement, to which keys are bound.
    pub(super) announcement: &'a [u8],
    pub(super) rows: usize,
    pub(super) input: PartyInput,
}

pub(super) struct Session<'a> {
    pub(super) engine: &'a Engine,
    pub(super) epoch: Arc<Epoch<Loaded>>,
    pub(super) loaded: Arc<Loaded>,
    pub(super) keys: KeyChain,
    /// carol's end of bob's request keys.
    pub(super) request_keys: Option<RequestKeys>,
    /// Of the batch that is formed or runs, in the order of their rows.
    pub(super) places: Vec<Place>,
    workspace: Workspace,
    /// When a batch last ran.
    busy: Instant,
}

impl Session<'_> {
    pub(super) fn new(
        engine: &Engine,
        epoch: Arc<Epoch<Loaded>>,
        loaded: Arc<Loaded>,
    ) -> Session<'_> {
        let secrets = epoch.links.each_ref().map(|link| &link.secret);
        let keys = KeyChain::new(engine.role, &epoch.id, secrets);
        let bob = epoch.link(Role::Bob).ok().filter(|_| engine.role == Role::Carol);
        let request_keys = bob.map(|bob| RequestKeys::new(&epoch.id, &bob.secret));
        let (places, workspace, busy) = (vec![], Workspace::default(), Instant::now());
        Session { engine, epoch, loaded, keys, request_keys, places, workspace, busy }
    }

    /// Room for the input of so many rows.
    pub(super) fn tensor(&self, rows: usize) -> Vec<u64> {
        Vec::with_capacity(rows * self.loaded.input)
    }

    /// The next batch's channel; `hop`: the largest hop that led to it.
    pub(super) fn channel(&self, hop: u16) -> BatchChannel {
        BatchChannel { epoch: self.epoch.clone(), batch: self.keys.next(), hop }
    }

    /// Frees the memory of a player that has been idle for a while.
    pub(super) fn rest(&mut self) {
        if self.busy.elapsed() >= IDLE {
            self.workspace = Workspace::default();
        }
    }

    /// Runs the batch and answers its requests. The number is spent even if `announced` failed.
    pub(super) fn compute(
        &mut self,
        batch: Batch<'_>,
        announced: Result<(), ChannelError>,
    ) -> Result<(), ChannelError> {
        let Batch { mut channel, announcement, rows, input } = batch;
        let shares = &self.loaded.shares;
        let keys = self.keys.take(&shares.digest, &shares.generation, announcement);

        let begin = Instant::now();
        self.engine.requests.running(true);
        let result = announced.and_then(|()| {
            securemodel_mpc::run(shares, &keys, rows, input, &mut channel, &mut self.workspace)
        });
        self.busy = Instant::now();
        self.engine.requests.running(false);
        // the end of the epoch is logged anyway, with the peer's name
        let output =
            result.inspect_err(|e| debug!(batch = channel.batch, "the batch failed: {e}"))?;

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
                let (output, loaded, epoch) = (own.to_vec(), self.loaded.clone(), self.epoch.id);
                let answer = Answer { output, loaded, epoch, batch, hops };
                let _ = request.reply.send(Ok(answer)); // the client may have left
            }
        }
    }

    /// The epoch is over, and with it the batch.
    pub(super) fn fail(self, why: &Refusal) {
        for request in self.places.into_iter().filter_map(|place| place.request) {
            let _ = request.reply.send(Err(why.clone()));
        }
    }
}
