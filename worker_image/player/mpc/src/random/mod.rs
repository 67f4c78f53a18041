//! The ring, and the streams of random elements of it.

pub(crate) mod prg;
pub(crate) mod ring;
pub(crate) mod tag;
