//! Mutations that keep the outer form: JSON stays JSON, lengths and digests are right again
//! afterwards. Without them almost every input fails at the first check.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Numbers at which something changes.
const NUMBERS: [i128; 18] = [
    -1,
    0,
    1,
    2,
    3,
    16,
    31,
    32,
    62,
    4096,
    1 << 28,
    (1 << 28) + 1,
    1 << 31,
    1 << 32,
    1 << 62,
    i64::MAX as i128,
    i64::MIN as i128,
    u64::MAX as i128,
];
const WORDS: &str = "input weight conv2d matmul multiply scale add sum subtract add_constant \
                     sum_pool max_pool reshape transpose gather concat truncate relu \
                     truncate_relu output truncate_output \
                     shape in stride window dilation groups perm axis index shift factor value \
                     threshold bound low high public functions function labels alpha \
                     alice bob carol ASTRA SecureNN U64 F32 UINT64";

/// xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

fn word(random: &mut Random) -> &'static str {
    WORDS.split_whitespace().nth(random.below(WORDS.split_whitespace().count())).unwrap_or_default()
}

type Mutation = fn(&[u8], &mut dyn FnMut(&mut Value)) -> Option<Vec<u8>>;

/// Three times out of four `mutation`, else libFuzzer's own: the bytes as they are.
pub fn sometimes(
    mutation: Mutation,
    data: &mut [u8],
    size: usize,
    most: usize,
    seed: u32,
) -> usize {
    let mut random = Random(u64::from(seed) << 1 | 1);
    (0..8).for_each(|_| {
        random.below(1);
    });
    if random.below(4) > 0 {
        let times = 1 + random.below(3);
        let mutated = mutation(&data[..size], &mut |value| {
            (0..times).for_each(|_| mutate_value(value, &mut random))
        });
        if let Some(bytes) = mutated.filter(|bytes| bytes.len() <= most) {
            data[..bytes.len()].copy_from_slice(&bytes);
            return bytes.len();
        }
    }
    libfuzzer_sys::fuzzer_mutate(data, size, most)
}

/// A program.
pub fn program(data: &[u8], change: &mut dyn FnMut(&mut Value)) -> Option<Vec<u8>> {
    let mut value = serde_json::from_slice(data).ok()?;
    change(&mut value);
    serde_json::to_vec(&value).ok()
}

/// Two header lines and a body: the JSON changes, or the tensor gets the length that it names; the
/// second header follows.
pub fn http(data: &[u8], change: &mut dyn FnMut(&mut Value)) -> Option<Vec<u8>> {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let (whole, length, body) = (parts.next()?, parts.next()?, parts.next()?);
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    let (json, tensor) = body.split_at_checked(length)?;
    let mut value: Value = serde_json::from_slice(json).ok()?;
    change(&mut value);
    let size = value
        .pointer("/inputs/0/parameters/binary_data_size")
        .and_then(Value::as_u64)
        .filter(|size| *size <= 2000);
    let mut tensor = tensor.to_vec();
    tensor.resize(size.map_or(tensor.len(), |size| size as usize), 7);
    let json = serde_json::to_vec(&value).ok()?;
    Some([whole, b"\n", json.len().to_string().as_bytes(), b"\n", &json, &tensor].concat())
}

/// A share file: its header changes, or the program in it; length and digest follow.
pub fn shares(data: &[u8], change: &mut dyn FnMut(&mut Value)) -> Option<Vec<u8>> {
    let (length, rest) = data.split_first_chunk::<8>()?;
    let (header, tensors) =
        rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let mut header: Value = serde_json::from_slice(header).ok()?;
    let text = |header: &Value| {
        header.pointer("/__metadata__/program").and_then(Value::as_str).map(str::to_owned)
    };
    let mut program: Value = text(&header).and_then(|text| serde_json::from_str(&text).ok())?;
    let mut both = Value::Array(vec![header, program]);
    change(&mut both);
    [header, program] = <[Value; 2]>::try_from(both.as_array_mut().map(std::mem::take)?).ok()?;
    if let Some(metadata) = header.pointer_mut("/__metadata__").and_then(Value::as_object_mut) {
        let text = serde_json::to_string(&program).ok()?;
        metadata.insert("digest".into(), hex::encode(Sha256::digest(&text)).into());
        metadata.insert("program".into(), text.into());
    }
    let header = serde_json::to_vec(&header).ok()?;
    Some([&(header.len() as u64).to_le_bytes()[..], &header, tensors].concat())
}

/// Changes one node.
fn mutate_value(root: &mut Value, random: &mut Random) {
    let count = nodes(root);
    let spare = nth(root, &mut random.below(count)).map(|node| node.clone());
    let Some(node) = nth(root, &mut random.below(count)) else { return };
    match (random.below(5), node) {
        (0, node) => *node = spare.unwrap_or_default(),
        (_, Value::Number(number)) => {
            let old = number.as_i128().unwrap_or(0);
            let new = match random.below(4) {
                0 => NUMBERS[random.below(NUMBERS.len())],
                1 => old + 1,
                2 => old - 1,
                _ => random.below(9) as i128,
            };
            *number = serde_json::Number::from_i128(new).unwrap_or_else(|| 0.into());
        }
        (_, Value::String(text)) => *text = word(random).into(),
        (_, Value::Array(items)) => change_list(items, spare, random),
        (_, Value::Object(map)) => change_map(map, spare, random),
        (_, node) => *node = spare.unwrap_or_default(),
    }
}

fn change_list(items: &mut Vec<Value>, spare: Option<Value>, random: &mut Random) {
    let (at, other) = (random.below(items.len()), random.below(items.len()));
    match random.below(4) {
        0 => items.insert(at, spare.unwrap_or_default()),
        1 if !items.is_empty() => drop(items.remove(at)),
        2 if !items.is_empty() => items.insert(at, items[at].clone()),
        _ if !items.is_empty() => items.swap(at, other),
        _ => items.push(1.into()),
    }
}

fn change_map(map: &mut Map<String, Value>, spare: Option<Value>, random: &mut Random) {
    let key = map.keys().nth(random.below(map.len())).cloned().unwrap_or_default();
    match random.below(3) {
        0 => drop(map.remove(&key)),
        1 => drop(map.insert(word(random).into(), spare.unwrap_or_default())),
        _ => {
            let value = map.remove(&key).unwrap_or_default();
            map.insert(word(random).into(), value);
        }
    }
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(map) => map.values().map(nodes).sum(),
        _ => 0,
    }
}

/// The node with this number, in depth-first order.
fn nth<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, left)),
        Value::Object(map) => map.values_mut().find_map(|item| nth(item, left)),
        _ => None,
    }
}
