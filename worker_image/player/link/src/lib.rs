//! Links between the players (docs/wire.md): TLS, frames, one link a pair, and the epoch that the
//! three agree on.

pub mod agreement;
pub mod announce;
pub mod cluster;
pub mod dial;
pub mod epoch;
pub mod frame;
pub mod link;
pub mod links;
pub mod lock;
pub mod mesh;
pub mod offer;
pub mod tls;
pub mod traffic;
pub mod waker;
