//! Values while a program runs, and how instructions read them.

use std::collections::HashMap;

use crate::weights::Weight;
use crate::workspace::Workspace;

/// A masked value as one role holds it, for all rows of the batch.
pub(crate) struct Masked {
    /// alice, bob: x + λ; carol: empty.
    pub(crate) m: Vec<u64>,
    /// alice: λ_a; bob: λ_b; carol: λ.
    pub(crate) l: Vec<u64>,
}

impl Masked {
    /// Hands the buffers back.
    pub(crate) fn recycle(self, workspace: &mut Workspace) {
        workspace.give(self.m);
        workspace.give(self.l);
    }
}

/// This role's part of a product: alice z_a, bob z_b, carol κ.
pub(crate) struct Product(pub(crate) Vec<u64>);

/// The result of an instruction, kept until its last use.
pub(crate) enum Value {
    Masked(Masked),
    Product(Product),
    /// A weight, whose value is in the share file.
    None,
}

/// What the running instruction reads. `Program::parse` has checked every form, so that operands
/// are what the instruction takes.
pub(crate) struct Running<'a> {
    /// The instruction that runs.
    pub(crate) at: usize,
    /// In the whole batch.
    rows: usize,
    /// Of each value, in one row.
    shapes: Vec<&'a [usize]>,
    weights: &'a HashMap<usize, Weight>,
    values: Vec<Value>,
    /// For each value the last instruction that reads it.
    last_use: Vec<usize>,
}

impl<'a> Running<'a> {
    /// `instructions`: shape and operands of each, in order.
    pub(crate) fn new(
        instructions: impl Iterator<Item = (&'a [usize], &'a [usize])>,
        weights: &'a HashMap<usize, Weight>,
        rows: usize,
    ) -> Running<'a> {
        let (shapes, operands): (Vec<&[usize]>, Vec<&[usize]>) = instructions.unzip();
        let mut last_use = vec![0; shapes.len()];
        for (at, operands) in operands.into_iter().enumerate() {
            operands.iter().for_each(|operand| last_use[*operand] = at);
        }
        let values = Vec::with_capacity(shapes.len());
        Running { at: 0, rows, shapes, weights, values, last_use }
    }

    /// Of a value, in one row.
    pub(crate) fn shape(&self, value: usize) -> &'a [usize] {
        self.shapes[value]
    }

    /// Elements of this instruction's value, all rows.
    pub(crate) fn elements(&self) -> usize {
        self.rows * self.shapes[self.at].iter().product::<usize>()
    }

    pub(crate) fn weight(&self, operand: usize) -> &'a Weight {
        &self.weights[&operand]
    }

    pub(crate) fn masked(&self, operand: usize) -> &Masked {
        match &self.values[operand] {
            Value::Masked(x) => x,
            _ => unreachable!("the program was checked: the operand is masked"),
        }
    }

    /// The value itself if this is its last use, or else a copy.
    pub(crate) fn take_masked(&mut self, operand: usize, workspace: &mut Workspace) -> Masked {
        if self.last_use[operand] == self.at {
            if let Value::Masked(x) = std::mem::replace(&mut self.values[operand], Value::None) {
                return x;
            }
        }
        let Masked { m, l } = self.masked(operand);
        Masked { m: workspace.copy(m), l: workspace.copy(l) }
    }

    /// The value itself if this is its last use, or else a copy.
    pub(crate) fn take_product(&mut self, operand: usize, workspace: &mut Workspace) -> Product {
        match &mut self.values[operand] {
            Value::Product(Product(z)) if self.last_use[operand] == self.at => {
                Product(std::mem::take(z))
            }
            Value::Product(Product(z)) => Product(workspace.copy(z)),
            _ => unreachable!("the program was checked: the operand is a product"),
        }
    }

    /// Keeps this instruction's value, and hands back the operands that are not read again.
    pub(crate) fn finish(&mut self, value: Value, operands: &[usize], workspace: &mut Workspace) {
        self.values.push(value);
        for operand in operands.iter().filter(|operand| self.last_use[**operand] == self.at) {
            match std::mem::replace(&mut self.values[*operand], Value::None) {
                Value::Masked(x) => x.recycle(workspace),
                Value::Product(Product(z)) => workspace.give(z),
                Value::None => {}
            }
        }
    }
}

/// A linear map without constants, applied to every part alike; the result has `n` elements.
pub(crate) fn local(
    x: &Masked,
    n: usize,
    workspace: &mut Workspace,
    map: impl Fn(&[u64], &mut [u64]),
) -> Masked {
    local_of_all(&[x], n, workspace, |parts, out| map(parts[0], out))
}

/// Such a map of several values.
pub(crate) fn local_of_all(
    xs: &[&Masked],
    n: usize,
    workspace: &mut Workspace,
    map: impl Fn(&[&[u64]], &mut [u64]),
) -> Masked {
    let mut apply = |parts: Vec<&[u64]>| {
        let held = parts.iter().any(|part| !part.is_empty()); // carol holds no m
        let mut out = workspace.take(if held { n } else { 0 });
        if held {
            map(&parts, &mut out);
        }
        out
    };
    let m = apply(xs.iter().map(|x| &x.m[..]).collect());
    Masked { m, l: apply(xs.iter().map(|x| &x.l[..]).collect()) }
}
