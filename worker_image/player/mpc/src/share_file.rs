//! The share file: one party's shares of the weights, with the program they belong to
//! (docs/program.md).

use std::collections::HashMap;

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
        let format = |e: &dyn std::fmt::Display| SharesError::Format(e.to_string());
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| format(&e))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| format(&e))?;
        let metadata = header.metadata().as_ref().ok_or_else(|| format(&"no metadata"))?;
        let get = |key: &str| {
            metadata
                .get(key)
                .map(String::as_str)
                .ok_or_else(|| format(&format_args!("no {key:?} in its metadata")))
        };
        for (key, expected) in [("format", "securemodel-shares/1"), ("fraction_bits", "16")] {
            let found = get(key)?;
            if found != expected {
                return Err(SharesError::Metadata {
                    key,
                    found: found.into(),
                    expected: expected.into(),
                });
            }
        }
        let found = get("protocol")?;
        let protocol = found.parse().map_err(|_| SharesError::Metadata {
            key: "protocol",
            found: found.into(),
            expected: ProtocolName::names(" or "),
        })?;
        let role: Role = get("role")?.parse().map_err(|e| format(&e))?;
        let generation = fixed_hex(get("generation")?)
            .ok_or_else(|| format(&"generation is not 32 hex digits"))?;
        let text = get("program")?;
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        if get("digest")? != hex::encode(digest) {
            return Err(SharesError::Digest {
                found: hex::encode(digest),
                claimed: get("digest")?.into(),
            });
        }
        let program = Program::parse(text.as_bytes())?;
        let reader = Reader { file, role };
        let weights = reader.weights(&program)?;
        Ok(Shares { role, protocol, generation, digest, program, weights })
    }
}

fn fixed_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    hex::decode(text).ok()?.try_into().ok()
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
        let combine = |a: &[u64], b: &[u64], f: fn(u64, u64) -> u64| -> Vec<u64> {
            a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
        };
        let negated = |a: &[u64]| -> Vec<u64> { a.iter().map(|v| v.wrapping_neg()).collect() };
        if self.role == Role::Carol {
            let lambda = combine(
                &self.tensor(i, "la", shape)?,
                &self.tensor(i, "lb", shape)?,
                u64::wrapping_add,
            );
            return Ok(if bias {
                Weight::Bias(vec![0; lambda.len()])
            } else {
                Weight::Helper { lambda: matrix(&lambda, shape) }
            });
        }
        let m = self.tensor(i, "m", shape)?;
        let own = match self.role {
            Role::Alice => combine(&m, &self.tensor(i, "la", shape)?, u64::wrapping_sub),
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
