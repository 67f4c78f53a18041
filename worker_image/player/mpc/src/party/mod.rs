//! The two kinds of party: alice and bob, who hold data, and carol, who helps.

pub(crate) mod base;
pub(crate) mod data;
pub(crate) mod helper;
pub(crate) mod truncation;
