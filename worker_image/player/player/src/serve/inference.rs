//! The body of a prediction: Open Inference Protocol JSON, then the raw tensor (binary tensor
//! extension).

use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

use crate::batch::refusal::{Code, Refusal};
use crate::batch::request::{Answer, Inference};
use crate::model::Loaded;
use securemodel_link::announce::RequestId;
use securemodel_link::offer::Offer;
use securemodel_mpc::role::Role;

#[derive(Deserialize)]
struct Body {
    id: String,
    inputs: Vec<Tensor>,
}

#[derive(Serialize, Deserialize)]
struct Tensor {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    parameters: Parameters,
}

#[derive(Serialize, Deserialize)]
struct Parameters {
    binary_data_size: usize,
}

/// Most bytes that a body has: the tensor of `max_rows` rows and some JSON.
pub fn body_limit(loaded: &Loaded) -> usize {
    loaded.input * 8 * loaded.max_rows + (64 << 10)
}

/// `json_length`: the header Inference-Header-Content-Length.
pub fn parse(body: &[u8], json_length: usize, loaded: &Loaded) -> Result<Inference, Refusal> {
    let (json, tensor) = body.split_at_checked(json_length).ok_or_else(|| {
        bad(format!(
            "Inference-Header-Content-Length is {json_length}, the whole body has {} bytes",
            body.len()
        ))
    })?;
    let request: Body =
        serde_json::from_slice(json).map_err(|e| bad(format!("the JSON part of the body: {e}")))?;
    let id = parse_id(&request.id)?;
    let input = the_input(&request.inputs)?;
    let rows = rows(&input.shape, loaded)?;

    let (expected, size) = (rows * loaded.input * 8, input.parameters.binary_data_size);
    if tensor.len() != expected || size != expected {
        let why = format!(
            "shape {:?} needs {expected} bytes, binary_data_size is {size} and {} follow the JSON",
            input.shape,
            tensor.len()
        );
        return Err(bad(why));
    }
    Ok(Inference { id, rows, share: bytemuck::pod_collect_to_vec(tensor) })
}

fn bad(why: String) -> Refusal {
    Refusal::new(Code::BadRequest, why)
}

fn parse_id(text: &str) -> Result<RequestId, Refusal> {
    let id = hex::decode(text).ok().and_then(|id| id.try_into().ok());
    id.filter(|_| !text.bytes().any(|b| b.is_ascii_uppercase()))
        .ok_or_else(|| bad("id is not 32 lower-case hex digits; draw 128 random bits".into()))
}

/// The one input, of additive shares.
fn the_input(inputs: &[Tensor]) -> Result<&Tensor, Refusal> {
    let [input] = inputs else {
        return Err(bad(format!("{} inputs, expected the one named \"input\"", inputs.len())));
    };
    if input.name != "input" {
        return Err(bad(format!("input {:?}, expected \"input\"", input.name)));
    }
    if input.datatype != "UINT64" {
        return Err(bad(format!(
            "datatype {:?}, expected UINT64: additive shares modulo 2^64, not plain values",
            input.datatype
        )));
    }
    Ok(input)
}

/// How many rows of the program's input have this shape.
fn rows(shape: &[i64], loaded: &Loaded) -> Result<usize, Refusal> {
    let (row, max_rows) = (loaded.shares.program.input_shape(), loaded.max_rows);
    let is_row = |shape: &[i64]| shape.iter().map(|d| *d as usize).eq(row.iter().copied());
    match shape {
        [rows, rest @ ..] if is_row(rest) && (1..=max_rows as i64).contains(rows) => {
            Ok(*rows as usize)
        }
        _ => {
            let row = row.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            let why = format!("shape {shape:?}, expected [B, {row}] with B from 1 to {max_rows}");
            Err(Refusal::new(Code::WrongShape, why))
        }
    }
}

/// The answer's body, and the length of its JSON part.
pub fn encode(answer: &Answer, id: &RequestId, rows: usize, model: &str) -> (Vec<u8>, usize) {
    let shape: Vec<usize> = std::iter::once(rows)
        .chain(answer.loaded.shares.program.output_shape().iter().copied())
        .collect();
    let data: &[u8] = bytemuck::cast_slice(&answer.output);

    let json = json!({
        "model_name": model,
        "model_version": answer.loaded.generation(),
        "id": hex::encode(id),
        "outputs": [{
            "name": "output",
            "datatype": "UINT64",
            "shape": shape,
            "parameters": {"binary_data_size": data.len()},
        }],
        "parameters": {
            "digest": answer.loaded.digest(),
            "epoch": hex::encode(answer.epoch),
            "batch": answer.batch,
            "hops": answer.hops,
        },
    });

    let mut body = json.to_string().into_bytes();
    let length = body.len();
    body.extend_from_slice(data);
    (body, length)
}

/// Model metadata, with what the program says to clients.
pub fn metadata(model: &str, role: Role, loaded: &Loaded) -> Value {
    let program = &loaded.shares.program;
    let tensor = |name: &str, row: &[usize]| {
        let shape: Vec<i64> = std::iter::once(-1).chain(row.iter().map(|d| *d as i64)).collect();
        json!({"name": name, "datatype": "UINT64", "shape": shape})
    };
    let mut metadata = json!({
        "name": model,
        "versions": [loaded.generation()],
        "platform": "securemodel",
        "inputs": [tensor("input", program.input_shape())],
        "outputs": [tensor("output", program.output_shape())],
        "parameters": {
            "role": role,
            "protocol": loaded.shares.protocol,
            "fraction_bits": 16,
            "input_bound": program.input_bound(),
            "input_low": program.input_low(),
            "input_high": program.input_high(),
            "functions": program.public().functions,
            "digest": loaded.digest(),
            "generation": loaded.generation(),
            "max_rows": loaded.max_rows,
            "answer_seconds": loaded.patience.answer().as_secs_f64().ceil() as u64,
        },
    });
    let labels = &program.public().labels;
    if !labels.is_empty() {
        metadata["parameters"]["labels"] = json!(labels);
    }
    metadata
}
