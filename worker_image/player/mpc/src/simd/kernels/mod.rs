//! Linear algebra in the ring: the one place where a player spends time on neither randomness nor
//! waiting.

pub(crate) mod broadcast;
pub(crate) mod pooling;
pub(crate) mod products;
pub(crate) mod rearrange;
