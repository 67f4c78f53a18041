//! What clients, the share step and probes see: HTTPS by the Open Inference Protocol, and the
//! health port (docs/wire.md).

pub mod deliver;
pub mod error;
pub mod health;
pub mod inference;
pub mod listener;
pub mod predict;
pub mod reply;
pub mod router;
