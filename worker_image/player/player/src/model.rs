//! Loaded shares, with the limits that follow from their program.

use std::time::Duration;

use securemodel_link::frame::{MAX_LIST, MAX_PAYLOAD};
use securemodel_link::offer::Offer;
use securemodel_mpc::longest_message;
use securemodel_mpc::protocol::ProtocolName;
use securemodel_mpc::share_file::Shares;
use securemodel_mpc::work::held;

use crate::patience::{is_bearable, Patience};

/// Bytes that the values and messages of a batch may have at once (`held`). With the buffers that
/// are kept for reuse a player takes about three times that (docs/performance.md): half of the
/// memory that the chart gives it.
const MAX_HELD: usize = 170 << 20;

/// What a player holds of a model, and the limits that follow from its program.
pub struct Loaded {
    pub shares: Shares,
    /// Most rows of one batch and of one request, so that no batch is larger than `MAX_HELD` or too
    /// long to wait for.
    pub max_rows: usize,
    /// Elements of one row.
    pub input: usize,
    pub output: usize,
    /// The longest message of a batch.
    pub max_message: usize,
    /// How long batches may take.
    pub patience: Patience,
}

impl Loaded {
    pub fn new(shares: Shares, max_rows: usize) -> Loaded {
        let elements = |shape: &[usize]| shape.iter().product::<usize>();
        let input = elements(shares.program.input_shape());
        let output = elements(shares.program.output_shape());

        let (program, protocol) = (&shares.program, shares.protocol);
        let fits = |rows: usize| {
            held(program, protocol, rows) <= MAX_HELD && is_bearable(program, protocol, rows)
        };
        let max_rows = most(max_rows.clamp(1, MAX_LIST), fits);
        let longest = longest_message(&shares, max_rows).saturating_mul(size_of::<u64>());
        let max_message = longest.min(MAX_PAYLOAD);
        let patience = Patience::new(program, protocol, max_rows);
        Loaded { shares, max_rows, input, output, max_message, patience }
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

    fn silence(&self) -> Duration {
        self.patience.silence
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;
    use sha2::{Digest, Sha256};

    use super::*;

    /// A row whose input is its largest tensor, and its longest message.
    fn shares_of_a_large_input() -> Shares {
        let program = concat!(
            r#"{"fraction_bits":16,"instructions":["#,
            r#"{"bound":65536,"op":"input","shape":[224,224,3]},"#,
            r#"{"dilation":[1,1],"in":[0],"op":"sum_pool","shape":[1,1,3],"stride":[1,1],"#,
            r#""window":[224,224]},{"factor":3,"in":[1],"op":"scale","shape":[1,1,3]},"#,
            r#"{"in":[2],"op":"truncate_output","shape":[1,1,3],"shift":2}],"version":1}"#
        );
        let metadata = [
            ("format", "securemodel-shares/1".to_owned()),
            ("role", "alice".into()),
            ("protocol", "ASTRA".into()),
            ("fraction_bits", "16".into()),
            ("generation", "0".repeat(32)),
            ("digest", hex::encode(Sha256::digest(program))),
            ("program", program.into()),
        ];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
        let file = safetensors::serialize(Vec::<(String, TensorView)>::new(), Some(metadata));
        Shares::parse(&file.expect("a file")).expect("a share file")
    }

    #[test]
    fn as_many_rows_are_served_as_a_batch_has_room_for() {
        let loaded = Loaded::new(shares_of_a_large_input(), 256);
        // two ring elements of a value, and one of the message that brings it, for each element
        let bytes = |rows: usize| (16 + 8) * rows * loaded.input;
        assert!(loaded.max_rows > 1 && bytes(loaded.max_rows) <= MAX_HELD, "{}", loaded.max_rows);
        assert!(bytes(loaded.max_rows + 1) > MAX_HELD);
        assert_eq!(Loaded::new(shares_of_a_large_input(), 3).max_rows, 3);
    }

    #[test]
    fn the_most_rows_whose_messages_fit_are_served() {
        for limit in 1..20 {
            for fitting in 0..20 {
                assert_eq!(most(limit, |rows| rows <= fitting), fitting.clamp(1, limit));
            }
        }
    }
}
