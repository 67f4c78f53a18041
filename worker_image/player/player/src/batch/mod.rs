//! Batches: what waits for one, and what runs it.
//!
//! A request's path: `requests` takes it in, bob's `masking` sends his part to alice, `lead`
//! (alice) joins requests and announces them, `follow` (bob, carol) takes what is announced,
//! `session` runs it.

mod channel;
mod engine;
mod follow;
mod kept;
mod lead;
mod limits;
mod masking;
mod outbox;
mod pairing;
pub mod queue;
pub mod refusal;
pub mod request;
pub mod requests;
mod run;
mod seen;
mod session;

pub use engine::Engine;
pub use limits::{COUNTERPART, MAX_WAITING};
pub use masking::send_masked;
pub use run::run;
