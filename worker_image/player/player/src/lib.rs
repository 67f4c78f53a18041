//! The process of one player: `batch` collects and runs batches, `serve` answers clients, the share
//! step and probes.

pub mod batch;
pub mod config;
mod listed;
pub mod metrics;
pub mod model;
pub mod patience;
pub mod player;
pub mod reason;
pub mod serve;
pub mod store;

/// A file of contract/, which other languages test themselves against too.
#[cfg(test)]
fn contract(name: &str) -> serde_json::Value {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../contract").join(name);
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
