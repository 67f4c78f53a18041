//! What a player offers to serve: the links know no more of a model than this.

use std::time::Duration;

use securemodel_mpc::protocol::ProtocolName;

/// A model's shares, as far as the three players have to hold the same.
pub trait Offer: Send + Sync + 'static {
    fn protocol(&self) -> ProtocolName;
    /// The program's, in hex digits.
    fn digest(&self) -> String;
    /// The shares', in hex digits.
    fn generation(&self) -> String;
    /// Bytes of the longest message of a batch.
    fn max_message(&self) -> usize;
    /// How long a peer may compute without a word, and without taking any of ours.
    fn silence(&self) -> Duration;
}
