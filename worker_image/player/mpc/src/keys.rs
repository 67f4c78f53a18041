//! The keys that the parties draw their common randomness from.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::random::prg::{Key, Source};
use crate::random::tag::{Purpose, Tag};

/// The keys of one batch, one for each pair that this role belongs to. They are used for one `run`
/// and never again.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct BatchKeys {
    pub ab: Option<[u8; 16]>,
    pub ac: Option<[u8; 16]>,
    pub bc: Option<[u8; 16]>,
}

/// λ_b of one request of `n` elements, from the key that bob and carol share for this request
/// alone.
pub fn request_mask(key: &[u8; 16], n: usize) -> Vec<u64> {
    let mut mask = vec![0; n];
    let tag = Tag { instruction: 0, level: 0, purpose: Purpose::Request };
    Key::new(*key).words(tag, 0, &mut mask);
    mask
}
