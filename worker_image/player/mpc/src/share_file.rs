//! The share file: one party's shares of the weights, with the program they belong to
//! (docs/program.md).

use std::collections::HashMap;
use std::fmt::Display;

use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use crate::program::instruction::Instruction;
use crate::program::{Program, ProgramError};
use crate::protocol::ProtocolName;
use crate::role::Role;
use crate::weights::{matrix, Weight};

/// A checked share file, with the weights laid out as the kernels want them.
pub struct Shares {
    pub role: Role,
    pub protocol: ProtocolName,
    pub generation: [u8; 16],
    pub digest: [u8; 32],
    pub program: Program,
    /// Keyed by the instruction that defines the weight.
    pub(crate) weights: HashMap<usize, Weight>,
}

/// Why a share file is refused.
#[derive(Debug, thiserror::Error)]
pub enum SharesError {
    #[error("not a share file: {0}; deliver it again with the share step")]
    Format(String),
    #[error(
        "share file metadata {key:?} is {found:?}, expected {expected}; use a share step and \
         players of one release"
    )]
    Metadata { key: &'static str, found: String, expected: String },
    #[error(
        "the program in the share file has digest {found}, its metadata says {claimed}: the file \
         was damaged or tampered with; share the model again"
    )]
    Digest { found: String, claimed: String },
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error("share file tensor {name:?}: {why}; share the model again")]
    Tensor { name: String, why: String },
}

impl Shares {
    /// Reads and checks a share file of any role.
    pub fn parse(bytes: &[u8]) -> Result<Shares, SharesError> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
        let file = SafeTensors::deserialize(bytes).map_err(malformed)?;
        let metadata = header.metadata().as_ref().ok_or_else(|| malformed("no metadata"))?;
        let metadata = Metadata(metadata);

        metadata.expect("format", "securemodel-shares/1")?;
        metadata.expect("fraction_bits", "16")?;
        let protocol = metadata.protocol()?;
        let role: Role = metadata.get("role")?.parse().map_err(malformed)?;
        let generation = metadata.generation()?;
        let text = metadata.get("program")?;
        let digest = metadata.digest_of(text)?;

        let program = Program::parse(text.as_bytes())?;
        let weights = Reader { file, role }.weights(&program)?;
        Ok(Shares { role, protocol, generation, digest, program, weights })
    }
}

fn malformed(why: impl Display) -> SharesError {
    SharesError::Format(why.to_string())
}

struct Metadata<'a>(&'a HashMap<String, String>);

impl<'a> Metadata<'a> {
    fn get(&self, key: &str) -> Result<&'a str, SharesError> {
        let missing = || malformed(format_args!("no {key:?} in its metadata"));
        self.0.get(key).map(String::as_str).ok_or_else(missing)
    }

    fn expect(&self, key: &'static str, expected: &str) -> Result<(), SharesError> {
        let found = self.get(key)?;
        if found != expected {
            let (found, expected) = (found.into(), expected.into());
            return Err(SharesError::Metadata { key, found, expected });
        }
        Ok(())
    }

    fn protocol(&self) -> Result<ProtocolName, SharesError> {
        let found = self.get("protocol")?;
        found.parse().map_err(|_| SharesError::Metadata {
            key: "protocol",
            found: found.into(),
            expected: ProtocolName::names(" or "),
        })
    }

    fn generation(&self) -> Result<[u8; 16], SharesError> {
        let digits = hex::decode(self.get("generation")?).ok();
        let generation = digits.and_then(|bytes| bytes.try_into().ok());
        generation.ok_or_else(|| malformed("generation is not 32 hex digits"))
    }

    /// The program's digest, if it is the one that the metadata claims.
    fn digest_of(&self, program: &str) -> Result<[u8; 32], SharesError> {
        let digest: [u8; 32] = Sha256::digest(program.as_bytes()).into();
        let (found, claimed) = (hex::encode(digest), self.get("digest")?);
        if claimed != found {
            return Err(SharesError::Digest { found, claimed: claimed.into() });
        }
        Ok(digest)
    }
}

struct Reader<'a> {
    file: SafeTensors<'a>,
    role: Role,
}

impl Reader<'_> {
    fn weights(&self, program: &Program) -> Result<HashMap<usize, Weight>, SharesError> {
        let mut weights = HashMap::new();
        for (i, instruction) in program.instructions.iter().enumerate() {
            if let Instruction::Weight(weight) = instruction {
                weights.insert(i, self.weight(i, &weight.shape, weight.is_bias())?);
            }
        }
        let expected = weights.len() * 2;
        if self.file.len() != expected {
            return Err(SharesError::Format(format!(
                "{} tensors where the program needs {expected}",
                self.file.len()
            )));
        }
        Ok(weights)
    }

    fn weight(&self, i: usize, shape: &[usize], bias: bool) -> Result<Weight, SharesError> {
        match self.role {
            Role::Carol => self.helpers_weight(i, shape, bias),
            _ => self.data_players_weight(i, shape, bias),
        }
    }

    fn helpers_weight(&self, i: usize, shape: &[usize], bias: bool) -> Result<Weight, SharesError> {
        let (alices, bobs) = (self.tensor(i, "la", shape)?, self.tensor(i, "lb", shape)?);
        let lambda = combined(&alices, &bobs, u64::wrapping_add);
        Ok(if bias {
            Weight::Bias(vec![0; lambda.len()])
        } else {
            Weight::Helper { lambda: matrix(&lambda, shape) }
        })
    }

    fn data_players_weight(
        &self,
        i: usize,
        shape: &[usize],
        bias: bool,
    ) -> Result<Weight, SharesError> {
        let m = self.tensor(i, "m", shape)?;
        let own = match self.role {
            Role::Alice => combined(&m, &self.tensor(i, "la", shape)?, u64::wrapping_sub),
            _ => negated(&self.tensor(i, "lb", shape)?),
        };
        Ok(if bias {
            Weight::Bias(own)
        } else {
            Weight::Data { with_m: matrix(&own, shape), with_lambda: matrix(&negated(&m), shape) }
        })
    }

    fn tensor(&self, i: usize, part: &str, shape: &[usize]) -> Result<Vec<u64>, SharesError> {
        let name = format!("{i}.{part}");
        let tensor = match self.file.tensor(&name) {
            Ok(tensor) => tensor,
            Err(e) => return Err(SharesError::Tensor { name, why: e.to_string() }),
        };
        if tensor.dtype() != Dtype::U64 || tensor.shape() != shape {
            return Err(SharesError::Tensor {
                name,
                why: format!(
                    "it is {:?} {:?}, the program needs U64 {shape:?}",
                    tensor.dtype(),
                    tensor.shape()
                ),
            });
        }
        Ok(tensor
            .data()
            .chunks_exact(8)
            .map(|b| u64::from_le_bytes(b.try_into().unwrap_or_default()))
            .collect())
    }
}

fn combined(a: &[u64], b: &[u64], f: fn(u64, u64) -> u64) -> Vec<u64> {
    a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
}

fn negated(a: &[u64]) -> Vec<u64> {
    a.iter().map(|v| v.wrapping_neg()).collect()
}
