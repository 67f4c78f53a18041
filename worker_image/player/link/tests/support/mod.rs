//! Links with real certificates over loopback.
#![allow(dead_code, unreachable_pub)] // each test file uses its part

pub mod pair;
pub mod pki;

pub use pki::Authority;
