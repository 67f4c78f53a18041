//! One player of a SecureModel. `mpc` computes, `net` links the three players, `engine` runs batches, `serve` answers clients and probes.

pub mod config;
pub mod counters;
pub mod engine;
pub mod loaded;
pub mod mpc;
pub mod net;
pub mod player;
pub mod program;
pub mod role;
pub mod serve;
pub mod shares;
pub mod store;
