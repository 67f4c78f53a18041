//! What clients, the share step and probes see: HTTPS by the Open Inference Protocol, and the health port (docs/wire.md).

pub mod error;
pub mod health;
pub mod http;
pub mod inference;
mod kept;
pub mod listener;
pub mod queue;
pub mod refusal;
pub mod reply;
pub mod request;
pub mod requests;
pub mod shares;
