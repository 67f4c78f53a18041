//! Inputs and what the model answers to them in the clear.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// Files of little-endian float64, rows one after the other.
#[derive(clap::Args, Clone)]
pub struct Args {
    /// Inputs
    #[arg(long)]
    inputs: PathBuf,
    /// The model's outputs for them
    #[arg(long)]
    expected: PathBuf,
    /// Shape of one row, such as 28,28,1
    #[arg(long, value_delimiter = ',')]
    row: Vec<usize>,
    /// How far an output may be from the expected one
    #[arg(long)]
    tolerance: f64,
}

pub struct Samples {
    pub row: Vec<usize>,
    pub count: usize,
    inputs: Vec<f64>,
    expected: Vec<f64>,
    tolerance: f64,
}

impl Samples {
    pub fn load(args: &Args) -> Result<Samples, Error> {
        let (inputs, expected) = (floats(&args.inputs)?, floats(&args.expected)?);
        let row: usize = args.row.iter().product();
        let count = inputs.len() / row.max(1);
        if count == 0 || inputs.len() % row != 0 || expected.len() % count != 0 {
            return Err(Error::Answer(format!(
                "{} inputs and {} outputs are not rows of {:?}",
                inputs.len(),
                expected.len(),
                args.row
            )));
        }
        Ok(Samples { row: args.row.clone(), count, inputs, expected, tolerance: args.tolerance })
    }

    pub fn inputs(&self, first: usize, rows: usize) -> &[f64] {
        let row = self.inputs.len() / self.count;
        &self.inputs[first * row..(first + rows) * row]
    }

    /// The largest error of these outputs, or which output is wrong.
    pub fn check(&self, first: usize, outputs: &[f64]) -> Result<f64, Error> {
        let expected = &self.expected[first * self.expected.len() / self.count..];
        let mut largest = 0f64;
        for (i, (got, want)) in outputs.iter().zip(expected).enumerate() {
            let error = (got - want).abs();
            if error > self.tolerance {
                return Err(Error::Wrong(format!(
                    "output {i} is {got}, expected {want} within {}",
                    self.tolerance
                )));
            }
            largest = largest.max(error);
        }
        Ok(largest)
    }
}

fn floats(path: &Path) -> Result<Vec<f64>, Error> {
    let bytes =
        std::fs::read(path).map_err(|e| Error::Answer(format!("{}: {e}", path.display())))?;
    Ok(bytes
        .chunks_exact(8)
        .map(|word| f64::from_le_bytes(word.try_into().expect("8 bytes")))
        .collect())
}
