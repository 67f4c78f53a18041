//! One player of a SecureModel. `mpc` computes, `net` links the three players, `engine` runs batches, `serve` answers clients and probes.
#![deny(unsafe_code)]

#[cfg(feature = "audit")]
pub mod audit;
pub mod config;
pub mod counters;
pub mod engine;
pub mod loaded;
pub mod lock;
pub mod mpc;
pub mod net;
pub mod player;
pub mod program;
pub mod protocol;
pub mod role;
pub mod serve;
pub mod shares;
pub mod store;
