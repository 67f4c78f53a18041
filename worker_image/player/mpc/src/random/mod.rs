//! What is drawn: the ring, and streams of its elements.

pub(crate) mod prg;
pub(crate) mod ring;
pub(crate) mod tag;
