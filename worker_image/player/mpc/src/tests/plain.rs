//! Programs over the integers: each instruction by its definition in docs/program.md, element by
//! element, for one row. Truncations round down, where players' give that or one more.

use std::collections::HashMap;

use serde_json::Value;

#[derive(Clone, Debug)]
struct Tensor {
    shape: Vec<usize>,
    values: Vec<i64>,
}

/// All indices of a shape, in row-major order.
fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |all, size| {
        let longer = |index: &Vec<usize>| {
            let index = index.clone();
            (0..*size).map(move |i| [&index[..], &[i]].concat())
        };
        all.iter().flat_map(longer).collect()
    })
}

impl Tensor {
    fn at(&self, index: &[usize]) -> i64 {
        let place = index.iter().zip(&self.shape).fold(0, |place, (i, size)| {
            assert!(i < size, "{index:?} of {:?}", self.shape);
            place * size + i
        });
        self.values[place]
    }

    /// As numpy broadcasts it.
    fn broadcast_at(&self, index: &[usize]) -> i64 {
        let own = index[index.len() - self.shape.len()..].iter().zip(&self.shape);
        self.at(&own.map(|(i, size)| if *size == 1 { 0 } else { *i }).collect::<Vec<_>>())
    }
}

/// A line of a program, with its operands.
struct Line<'a> {
    line: &'a Value,
    operands: Vec<&'a Tensor>,
    shape: Vec<usize>,
}

fn numbers(value: &Value) -> Vec<i64> {
    value.as_array().expect("a list").iter().map(|v| v.as_i64().expect("an integer")).collect()
}

fn sizes(value: &Value) -> Vec<usize> {
    numbers(value).into_iter().map(|v| v as usize).collect()
}

impl Line<'_> {
    fn number(&self, key: &str) -> i64 {
        self.line[key].as_i64().unwrap_or_else(|| panic!("{key} of {}", self.line))
    }

    /// A pair, of ones if it is left out.
    fn pair(&self, key: &str) -> Vec<usize> {
        self.line.get(key).map_or(vec![1, 1], sizes)
    }

    fn truncated(&self, index: &[usize]) -> i64 {
        self.operands[0].at(index) >> self.number("shift")
    }

    /// The places of a window's pixels, and the pixels' own.
    fn window(&self, index: &[usize], window: &[usize]) -> Vec<(Vec<usize>, Vec<usize>)> {
        let (stride, dilation) = (self.pair("stride"), self.pair("dilation"));
        let place = |pixel: Vec<usize>| {
            let side = |i: usize| index[i] * stride[i] + pixel[i] * dilation[i];
            (vec![side(0), side(1)], pixel)
        };
        indices(window).into_iter().map(place).collect()
    }

    fn pooled(&self, index: &[usize]) -> Vec<i64> {
        let pixels = self.window(index, &self.pair("window")).into_iter();
        pixels.map(|(at, _)| self.operands[0].at(&[at[0], at[1], index[2]])).collect()
    }

    fn convolved(&self, index: &[usize]) -> i64 {
        let (x, w) = (self.operands[0], self.operands[1]);
        let groups = self.line.get("groups").map_or(1, |groups| groups.as_u64().expect("a size"));
        let (channels, o) = (w.shape[2], index[2]);
        let group = o / (w.shape[3] / groups as usize);
        let pixels = self.window(index, &w.shape[..2]).into_iter();
        pixels
            .flat_map(|(at, tap)| (0..channels).map(move |c| (at.clone(), tap.clone(), c)))
            .map(|(at, tap, c)| {
                x.at(&[at[0], at[1], group * channels + c]) * w.at(&[tap[0], tap[1], c, o])
            })
            .sum()
    }

    fn multiplied(&self, index: &[usize]) -> i64 {
        let (x, w) = (self.operands[0], self.operands[1]);
        let (j, row) = index.split_last().expect("an axis");
        (0..w.shape[0]).map(|k| x.at(&[row, &[k]].concat()) * w.at(&[k, *j])).sum()
    }

    fn gathered(&self, index: &[usize]) -> i64 {
        let mut from: Vec<i64> = index.iter().map(|i| *i as i64).collect();
        let lists = self.line["index"].as_array().expect("lists");
        for (axis, list) in sizes(&self.line["axis"]).into_iter().zip(lists) {
            from[axis] = numbers(list)[index[axis]];
        }
        let inside: Option<Vec<usize>> =
            from.into_iter().map(|i| usize::try_from(i).ok()).collect();
        inside.map_or(0, |index| self.operands[0].at(&index))
    }

    fn joined(&self, index: &[usize]) -> i64 {
        let (axis, mut index) = (self.number("axis") as usize, index.to_vec());
        for operand in &self.operands {
            if index[axis] < operand.shape[axis] {
                return operand.at(&index);
            }
            index[axis] -= operand.shape[axis];
        }
        panic!("{} is longer than its operands", self.line)
    }

    fn reshaped(&self, index: &[usize]) -> i64 {
        let flat = index.iter().zip(&self.shape).fold(0, |flat, (i, size)| flat * size + i);
        self.operands[0].values[flat]
    }

    fn turned(&self, index: &[usize]) -> i64 {
        let mut from = vec![0; index.len()];
        sizes(&self.line["perm"]).into_iter().zip(index).for_each(|(axis, i)| from[axis] = *i);
        self.operands[0].at(&from)
    }

    /// One element.
    fn element(&self, index: &[usize]) -> i64 {
        let operand = |i: usize| self.operands[i].at(index);
        match self.line["op"].as_str().expect("a word") {
            "conv2d" => self.convolved(index),
            "matmul" => self.multiplied(index),
            "multiply" => operand(0) * self.operands[1].broadcast_at(index),
            "scale" => operand(0) * self.number("factor"),
            "add" => operand(0) + self.operands[1].broadcast_at(index),
            "sum" => operand(0) + operand(1),
            "subtract" => operand(0) - operand(1),
            "add_constant" => operand(0) + self.number("value"),
            "sum_pool" => self.pooled(index).into_iter().sum(),
            "max_pool" => self.pooled(index).into_iter().max().expect("a window"),
            "reshape" => self.reshaped(index),
            "transpose" => self.turned(index),
            "gather" => self.gathered(index),
            "concat" => self.joined(index),
            "truncate" | "truncate_output" => self.truncated(index),
            "truncate_relu" => self.truncated(index).max(0),
            "relu" => {
                let threshold = self.line.get("threshold").map_or(0, |_| self.number("threshold"));
                if operand(0) >= threshold {
                    operand(0)
                } else {
                    0
                }
            }
            "output" => operand(0),
            op => panic!("{op} has no definition here"),
        }
    }
}

/// The output of one row; `weights` by their instructions.
pub(super) fn evaluate(
    program: &Value,
    weights: &HashMap<usize, Vec<i64>>,
    input: &[i64],
) -> Vec<i64> {
    let mut values: Vec<Tensor> = vec![];
    for (at, line) in program["instructions"].as_array().expect("a list").iter().enumerate() {
        let shape = sizes(&line["shape"]);
        let elements = match line["op"].as_str() {
            Some("input") => input.to_vec(),
            Some("weight") => weights[&at].clone(),
            _ => {
                let operands = sizes(&line["in"]).into_iter().map(|i| &values[i]).collect();
                let line = Line { line, operands, shape: shape.clone() };
                indices(&shape).iter().map(|index| line.element(index)).collect()
            }
        };
        values.push(Tensor { shape, values: elements });
    }
    values.pop().expect("an output").values
}
