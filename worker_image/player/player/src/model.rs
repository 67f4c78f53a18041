//! Loaded shares, with the limits that follow from their program.

use securemodel_link::frame::{MAX_LIST, MAX_PAYLOAD};
use securemodel_link::offer::Offer;
use securemodel_mpc::longest_message;
use securemodel_mpc::protocol::ProtocolName;
use securemodel_mpc::share_file::Shares;

/// What a player holds of a model, and the limits that follow from its program.
pub struct Loaded {
    pub shares: Shares,
    /// Most rows of one batch and of one request, so that no message is longer than a frame.
    pub max_rows: usize,
    /// Elements of one row.
    pub input: usize,
    pub output: usize,
    /// The longest message of a batch.
    pub max_message: usize,
}

impl Loaded {
    pub fn new(shares: Shares, max_rows: usize) -> Loaded {
        let bytes = |rows: usize| longest_message(&shares, rows).saturating_mul(size_of::<u64>());
        let max_rows = most(max_rows.clamp(1, MAX_LIST), |rows| bytes(rows) <= MAX_PAYLOAD);
        let max_message = bytes(max_rows).min(MAX_PAYLOAD);
        let elements = |shape: &[usize]| shape.iter().product();
        let (input, output) =
            (elements(shares.program.input_shape()), elements(shares.program.output_shape()));
        Loaded { shares, max_rows, input, output, max_message }
    }
}

/// The largest number from 1 to `limit` that fits; 1 if none does.
fn most(limit: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (1, limit + 1); // `low` fits or is 1, `high` does not or is too many
    while high - low > 1 {
        let middle = low.midpoint(high);
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

impl Offer for Loaded {
    fn protocol(&self) -> ProtocolName {
        self.shares.protocol
    }

    fn digest(&self) -> String {
        hex::encode(self.shares.digest)
    }

    fn generation(&self) -> String {
        hex::encode(self.shares.generation)
    }

    fn max_message(&self) -> usize {
        self.max_message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_rows_whose_messages_fit_are_served() {
        for limit in 1..20 {
            for fitting in 0..20 {
                assert_eq!(most(limit, |rows| rows <= fitting), fitting.clamp(1, limit));
            }
        }
    }
}
