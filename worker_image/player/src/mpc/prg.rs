//! Pseudo-random streams: one AES-128-CTR stream a batch key, instruction and purpose (docs/protocol.md, Randomness).

use aes::Aes128;
use ctr::cipher::{KeyIvInit, StreamCipher};
use zeroize::{Zeroize, ZeroizeOnDrop};

#[cfg(target_endian = "big")]
compile_error!("messages and streams are little-endian words; this crate has only been written for little-endian machines");

/// What a stream is for. The numbers are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    Mask = 0,
    Gamma = 1,
    Zero = 2,
    R = 3,
    RhoM = 4,
    Leaves = 5,
    AndMask1 = 6,
    Products1 = 7,
    AndMask2 = 8,
    Products2 = 9,
    R31 = 10,
    Rho = 11,
    RhoR = 12,
    RhoRhoM = 13,
    Own = 14,
}

/// The batch key of one pair.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 16]);

impl Key {
    pub fn new(bytes: [u8; 16]) -> Key {
        Key(bytes)
    }

    /// A key nobody else has.
    pub fn random() -> Result<Key, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Key(bytes))
    }

    /// The first `n` words of the stream. A stream is read once: call this once for an instruction and purpose.
    pub fn words(&self, instruction: u32, purpose: Purpose, n: usize) -> Vec<u64> {
        let mut counter = [0u8; 16];
        counter[..4].copy_from_slice(&instruction.to_be_bytes());
        counter[4..8].copy_from_slice(&(purpose as u32).to_be_bytes());
        let mut words = vec![0u64; n];
        ctr::Ctr64BE::<Aes128>::new(&self.0.into(), &counter.into()).apply_keystream(bytemuck::cast_slice_mut(&mut words));
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_aes_of_instruction_purpose_and_counter() {
        use aes::cipher::{BlockEncrypt, KeyInit};
        let key = [7u8; 16];
        let words = Key::new(key).words(3, Purpose::Rho, 4);
        let mut block = [0u8; 16];
        block[3] = 3;
        block[7] = 11;
        block[15] = 1; // the second block: counter 1
        let mut block = block.into();
        Aes128::new(&key.into()).encrypt_block(&mut block);
        assert_eq!(words[2], u64::from_le_bytes(block[..8].try_into().unwrap()));
        assert_eq!(words[3], u64::from_le_bytes(block[8..].try_into().unwrap()));
    }

    #[test]
    fn streams_of_different_tags_differ() {
        let key = Key::new([1; 16]);
        let base = key.words(1, Purpose::Mask, 2);
        assert_ne!(base, key.words(2, Purpose::Mask, 2));
        assert_ne!(base, key.words(1, Purpose::Gamma, 2));
        assert_eq!(base[..1], key.words(1, Purpose::Mask, 1));
    }
}
