//! The links as one batch sees them: tags frames and follows the longest chain of messages.

use std::sync::Arc;

use securemodel_link::frame::{Frame, Header, Kind};
use securemodel_link::mesh::Epoch;
use securemodel_mpc::role::Role;
use securemodel_mpc::{Channel, ChannelError};

use crate::model::Loaded;

pub(super) struct BatchChannel {
    pub(super) epoch: Arc<Epoch<Loaded>>,
    pub(super) batch: u64,
    /// The largest hop received so far.
    pub(super) hop: u16,
}

impl BatchChannel {
    pub(super) fn next_hop(&self) -> u16 {
        self.hop.saturating_add(1)
    }
}

impl Channel for BatchChannel {
    fn send(
        &mut self,
        to: Role,
        instruction: u32,
        step: u8,
        words: &[u64],
    ) -> Result<(), ChannelError> {
        let header =
            Header { kind: Kind::Data, step, hop: self.next_hop(), instruction, batch: self.batch };
        self.epoch.links.send(to, &header, bytemuck::cast_slice(words))
    }

    fn recv(
        &mut self,
        from: Role,
        instruction: u32,
        step: u8,
        words: usize,
    ) -> Result<Vec<u64>, ChannelError> {
        let Frame { header, payload } = self.epoch.links.recv(from)?;
        let got = (header.kind, header.batch, header.instruction, header.step, payload.len());
        let asked = (Kind::Data, self.batch, instruction, step, 8 * words);
        if got != asked {
            return Err(ChannelError::Misbehaved(from, format!("{got:?} where {asked:?} is next")));
        }

        self.hop = self.hop.max(header.hop);
        let partial = || ChannelError::Misbehaved(from, "a message that is not whole words".into());
        payload.into_words().ok_or_else(partial)
    }

    fn recycle(&mut self, from: Role, buffer: Vec<u64>) {
        self.epoch.links.recycle(from, buffer);
    }
}
