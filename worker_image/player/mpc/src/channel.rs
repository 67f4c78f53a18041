//! What the protocol needs of the network: tagged messages between two parties, in order, with
//! bounded waits.

use crate::role::Role;

/// Why a message did not get through, and whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    #[error("the link to {0} was lost")]
    Lost(Role),
    #[error("{0} did not answer within the deadline")]
    Stalled(Role),
    #[error("{0} sent what the program does not ask for: {1}")]
    Misbehaved(Role, String),
    /// This player's own fault, whoever notices it.
    #[error("this player failed: {0}")]
    Ours(String),
}

impl ChannelError {
    /// The peer at fault; nobody if it is this player.
    pub fn peer(&self) -> Option<Role> {
        match self {
            ChannelError::Lost(peer)
            | ChannelError::Stalled(peer)
            | ChannelError::Misbehaved(peer, _) => Some(*peer),
            ChannelError::Ours(_) => None,
        }
    }
}

/// Messages of one batch. `instruction` and `step` are the tag that both ends derive from the
/// program.
pub trait Channel {
    /// Sends a message: it is on its way by the time this party next waits in `recv`.
    fn send(
        &mut self,
        to: Role,
        instruction: u32,
        step: u8,
        words: &[u64],
    ) -> Result<(), ChannelError>;

    /// The message with this tag, exactly `words` words long.
    fn recv(
        &mut self,
        from: Role,
        instruction: u32,
        step: u8,
        words: usize,
    ) -> Result<Vec<u64>, ChannelError>;

    /// Hands back the buffer of a message from this party for reuse.
    fn recycle(&mut self, from: Role, buffer: Vec<u64>);
}
