//! Secure computation: runs a program on shares. docs/protocol.md is the definition.
//!
//! `interpreter` walks over the program. What an instruction takes, gives and makes each party do
//! is in `ops`; what alice and bob (`party::data`) and carol (`party::helper`) have in common for
//! it is in `party`; the two protocols differ in the comparison alone (`compare`). Nothing here
//! knows of sockets or clocks: a `Channel` carries the messages.

#[cfg(feature = "audit")]
pub mod audit;
mod block;
mod channel;
mod compare;
mod interpreter;
mod keys;
mod message;
mod ops;
mod party;
pub mod program;
pub mod protocol;
mod random;
pub mod role;
pub mod share_file;
mod simd;
mod size;
#[cfg(test)]
mod tests;
mod values;
mod weights;
pub mod work;
mod workspace;

pub use channel::{Channel, ChannelError};
pub use interpreter::run;
pub use keys::{request_mask, BatchKeys};
pub use party::base::PartyInput;
pub use size::longest_message;
pub use workspace::Workspace;
