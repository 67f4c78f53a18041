//! Whole programs through the three parties, against the integers.

use serde_json::{json, Value};

use super::plain::evaluate;
use super::programs::accepted;
use super::*;

/// Weights of a program: |w| < 1/4, biases below 4.
fn weights(program: &Value) -> HashMap<usize, Vec<i64>> {
    let lines = program["instructions"].as_array().expect("a list").iter().enumerate();
    lines
        .filter(|(_, line)| line["op"] == "weight")
        .map(|(at, line)| {
            let scale = line["scale"].as_u64().expect("a scale") as u32;
            let values = random(at as u64 + 40, elements(&line["shape"]));
            (at, values.into_iter().map(|v| (v as i64) >> (65 - scale)).collect())
        })
        .collect()
}

fn elements(shape: &Value) -> usize {
    let sizes = shape.as_array().expect("a shape").iter();
    sizes.map(|size| size.as_u64().expect("a size") as usize).product()
}

/// Compares the players' output with the integers' for several rows of inputs up to 2^`bits`, under
/// both protocols. `error`: what the truncations' last units may add up to.
fn check(program: &Value, rows: usize, bits: u32, error: i64) {
    let weights = weights(program);
    let lines = program["instructions"].as_array().expect("a list");
    let ring = |values: &[i64]| -> Vec<u64> { values.iter().map(|v| *v as u64).collect() };
    let stored: Vec<_> = weights
        .iter()
        .map(|(at, values)| {
            let shape = lines[*at]["shape"].as_array().expect("a shape").iter();
            (*at, shape.map(|d| d.as_u64().expect("a size") as usize).collect(), ring(values))
        })
        .collect();
    let each = elements(&lines[0]["shape"]);
    let input: Vec<i64> =
        random(7, rows * each).into_iter().map(|v| (v as i64) >> (63 - bits)).collect();
    let want: Vec<i64> =
        input.chunks_exact(each).flat_map(|row| evaluate(program, &weights, row)).collect();
    assert!(want.iter().any(|v| v.abs() > 8 * error), "there is something to compare: {want:?}");

    for protocol in ProtocolName::ALL {
        let shares = share(protocol, &program.to_string(), &stored);
        let got = reconstruct(&shares, rows, &ring(&input), 3);
        assert_eq!(got.len(), want.len());
        for (at, (got, want)) in got.iter().zip(&want).enumerate() {
            let off = (*got as i64 - want).abs();
            assert!(off <= error, "{protocol}, element {at}: {} and {want}", *got as i64);
        }
    }
}

#[test]
fn the_accepted_programs_agree_with_the_integers() {
    for program in accepted() {
        println!("{}", program["instructions"]);
        check(&program, 3, 16, 20);
    }
}

fn program(lines: &[Value]) -> Value {
    json!({"version": 1, "fraction_bits": 16, "instructions": lines})
}

/// Values that are read twice, far apart and next to each other, and operands that come twice.
#[test]
fn a_value_is_kept_until_its_last_use() {
    let shape = [6, 6, 4];
    let residual = program(&[
        json!({"op": "input", "shape": shape, "bound": 65536}),
        json!({"op": "weight", "shape": [3, 3, 1, 4], "scale": 16}),
        json!({"op": "weight", "shape": [1, 1, 4, 4], "scale": 16}),
        json!({"op": "weight", "shape": [4], "scale": 32}),
        json!({"op": "scale", "shape": shape, "in": [0], "factor": 65536}),
        json!({"op": "truncate", "shape": shape, "in": [4], "shift": 16}), // kept to the end
        json!({"op": "gather", "shape": [8, 8, 4], "in": [5], "axis": [0, 1],
               "index": [[-1, 0, 1, 2, 3, 4, 5, -1], [-1, 0, 1, 2, 3, 4, 5, -1]]}),
        json!({"op": "conv2d", "shape": shape, "in": [6, 1], "stride": [1, 1], "groups": 4}),
        json!({"op": "add", "shape": shape, "in": [7, 3]}), // of a product that is read again
        json!({"op": "truncate_relu", "shape": shape, "in": [8], "shift": 16}),
        json!({"op": "truncate", "shape": shape, "in": [7], "shift": 16}),
        json!({"op": "sum", "shape": shape, "in": [9, 10]}),
        json!({"op": "conv2d", "shape": shape, "in": [11, 2], "stride": [1, 1]}),
        json!({"op": "truncate", "shape": shape, "in": [12], "shift": 16}),
        json!({"op": "relu", "shape": shape, "in": [13]}), // of a value that is read again
        json!({"op": "add_constant", "shape": shape, "in": [13], "value": 1000}),
        json!({"op": "sum", "shape": shape, "in": [14, 15]}),
        json!({"op": "reshape", "shape": [144], "in": [16]}),
        json!({"op": "reshape", "shape": shape, "in": [17]}),
        json!({"op": "concat", "shape": [6, 6, 16], "in": [18, 5, 16, 5], "axis": 2}),
        json!({"op": "sum", "shape": [6, 6, 16], "in": [19, 19]}),
        json!({"op": "subtract", "shape": shape, "in": [5, 11]}), // 5 for the last time
        json!({"op": "max_pool", "shape": [2, 2, 16], "in": [20], "window": [3, 3],
               "stride": [2, 2]}),
        json!({"op": "sum_pool", "shape": [2, 2, 4], "in": [21], "window": [3, 3],
               "dilation": [1, 1], "stride": [2, 2]}),
        json!({"op": "concat", "shape": [2, 2, 20], "in": [22, 23], "axis": 2}),
        json!({"op": "output", "shape": [2, 2, 20], "in": [24]}),
    ]);
    check(&residual, 5, 16, 60);
}

/// A program of one local instruction on an input, and the product by 1 that makes it an output.
fn of_one(input: Value, weight: Option<Value>, instruction: Value) -> Value {
    let shape = instruction["shape"].clone();
    let mut lines = vec![json!({"op": "input", "shape": input, "bound": 1 << 20})];
    lines.extend(weight.map(|shape| json!({"op": "weight", "shape": shape, "scale": 16})));
    let is_product = lines.len() == 2;
    lines.push(instruction);
    if !is_product {
        let scale = json!({"op": "scale", "shape": shape, "in": [lines.len() - 1], "factor": 2});
        lines.push(scale);
    }
    let last = lines.len() - 1;
    lines.push(json!({"op": "truncate_output", "shape": shape, "in": [last], "shift": 1}));
    program(&lines)
}

#[test]
fn local_instructions_agree_with_the_integers() {
    let conv = |image: [usize; 3], kernel: [usize; 4], shape: [usize; 3], more: Value| {
        let mut line = json!({"op": "conv2d", "shape": shape, "in": [0, 1]});
        let keys = more.as_object().expect("keys").clone();
        line.as_object_mut().expect("an object").extend(keys);
        of_one(json!(image), Some(json!(kernel)), line)
    };
    let multiply = |x: Value, w: Value| {
        of_one(x.clone(), Some(w), json!({"op": "multiply", "shape": x, "in": [0, 1]}))
    };
    for program in [
        // depthwise, of many channels and of few, with a multiplier, in groups
        conv([5, 6, 24], [3, 3, 1, 24], [3, 2, 24], json!({"stride": [1, 2], "groups": 24})),
        conv([5, 6, 3], [3, 3, 1, 3], [3, 4, 3], json!({"stride": [1, 1], "groups": 3})),
        conv([4, 4, 9], [2, 2, 1, 18], [3, 3, 18], json!({"stride": [1, 1], "groups": 9})),
        conv([4, 4, 6], [2, 2, 3, 16], [3, 3, 16], json!({"stride": [1, 1], "groups": 2})),
        conv([4, 4, 6], [2, 2, 2, 9], [3, 3, 9], json!({"stride": [1, 1], "groups": 3})),
        conv([7, 8, 2], [3, 2, 2, 5], [3, 5, 5], json!({"stride": [1, 1], "dilation": [2, 3]})),
        conv(
            [9, 7, 4],
            [3, 2, 2, 8],
            [2, 2, 8],
            json!({"stride": [2, 3], "dilation": [3, 2], "groups": 2}),
        ),
        multiply(json!([3, 4, 5]), json!([5])),
        multiply(json!([3, 4, 5]), json!([3, 1, 5])),
        multiply(json!([3, 4, 5]), json!([4, 1])),
        multiply(json!([3, 4, 5]), json!([1])),
        of_one(
            json!([2, 3, 4]),
            Some(json!([4, 9])),
            json!({"op": "matmul", "shape": [2, 3, 9], "in": [0, 1]}),
        ),
        // upsampled, with zeros inside, turned round, cut
        of_one(
            json!([3, 4]),
            None,
            json!({"op": "gather", "shape": [6, 7], "in": [0],
            "axis": [0, 1], "index": [[0, 0, 1, 1, 2, 2], [0, -1, 1, -1, 2, -1, 3]]}),
        ),
        of_one(
            json!([3, 4]),
            None,
            json!({"op": "gather", "shape": [2, 4], "in": [0],
            "axis": [0], "index": [[2, 1]]}),
        ),
        of_one(
            json!([4]),
            None,
            json!({"op": "add_constant", "shape": [4], "in": [0],
            "value": -77}),
        ),
        of_one(
            json!([2, 3, 2]),
            None,
            json!({"op": "concat", "shape": [2, 9, 2],
            "in": [0, 0, 0], "axis": 1}),
        ),
    ] {
        check(&program, 4, 18, 1);
    }
}
