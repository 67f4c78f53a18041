//! Loaded shares, with the limits that follow from their program.

use securemodel_link::frame::{MAX_LIST, MAX_PAYLOAD};
use securemodel_link::offer::Offer;
use securemodel_mpc::program::{Instruction, Program};
use securemodel_mpc::protocol::ProtocolName;
use securemodel_mpc::share_file::Shares;

/// More than any message has for one element (docs/protocol.md, Cost per element: 345 + 2·31 bits),
/// and more than padding adds to it.
const ELEMENT_BYTES: usize = 64;
const PADDING_BYTES: usize = 16 << 10;

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
        let row = largest_tensor(&shares.program).saturating_mul(ELEMENT_BYTES);
        let max_rows = max_rows.min((MAX_PAYLOAD - PADDING_BYTES) / row).clamp(1, MAX_LIST);
        let (input, output) =
            (elements(shares.program.input_shape()), elements(shares.program.output_shape()));
        Loaded {
            max_rows,
            input,
            output,
            max_message: max_rows
                .saturating_mul(row)
                .saturating_add(PADDING_BYTES)
                .min(MAX_PAYLOAD),
            shares,
        }
    }
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

fn elements(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Elements of the largest tensor that a message is about. Besides values these are the pairs of a
/// max_pool's first level: half a window for each result.
fn largest_tensor(program: &Program) -> usize {
    let sizes = program.instructions.iter().map(|instruction| match instruction {
        Instruction::MaxPool { shape, window, .. } => {
            (elements(window) / 2).max(1).saturating_mul(elements(shape))
        }
        other => elements(other.shape()),
    });
    sizes.max().unwrap_or(1).max(1)
}
