//! The process of one player: `batch` collects and runs batches, `serve` answers clients, the share
//! step and probes.

pub mod batch;
pub mod config;
pub mod metrics;

pub mod model;
pub mod player;
pub mod serve;
pub mod store;
