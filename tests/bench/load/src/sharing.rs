//! Fixed point and additive shares: the client's half of docs/protocol.md, input and output.

use crate::error::Error;

const SCALE: f64 = 65536.0;

/// Two additive shares of round(v * 2^16), as little-endian words; each alone is uniformly random.
/// Randomness is the system's.
pub fn split(values: &[f64]) -> Result<[Vec<u8>; 2], Error> {
    let mut first = vec![0; 8 * values.len()];
    getrandom::fill(&mut first).map_err(|e| Error::Answer(format!("no randomness: {e}")))?;
    let mut second = Vec::with_capacity(first.len());
    for (value, share) in values.iter().zip(first.chunks_exact(8)) {
        let secret = (value * SCALE).round_ties_even() as i64 as u64;
        second.extend_from_slice(
            &secret
                .wrapping_sub(u64::from_le_bytes(share.try_into().expect("8 bytes")))
                .to_le_bytes(),
        );
    }
    Ok([first, second])
}

/// The values of two shares.
pub fn reconstruct(first: &[u8], second: &[u8]) -> Vec<f64> {
    let words = |bytes: &[u8]| {
        bytes
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")))
            .collect::<Vec<_>>()
    };
    words(first)
        .iter()
        .zip(words(second))
        .map(|(a, b)| a.wrapping_add(b) as i64 as f64 / SCALE)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_each_alone_is_not_the_value() {
        let values = [0.0, 1.0, -0.5, 123.25];
        let [first, second] = split(&values).expect("randomness");
        assert_eq!(reconstruct(&first, &second), values);
        assert_ne!(reconstruct(&first, &vec![0; first.len()]), values);
    }
}
