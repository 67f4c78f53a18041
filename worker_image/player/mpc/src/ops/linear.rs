//! conv2d, matmul, multiply, scale: a masked value times a weight or a public constant (local).

use serde::Deserialize;

use super::form::{broadcasts, windows, Earlier, Form, Shape};
use super::op::{facts, Op};
use crate::party::base::Party;
use crate::party::data::Data;
use crate::party::helper::Helper;
use crate::random::prg::Source;
use crate::random::ring::Ring;
use crate::simd::kernels::broadcast::Broadcast;
use crate::simd::kernels::products::{accumulate, rows_of, Convolution, Matrix};
use crate::values::{Masked, Product, Running};
use crate::weights::Weight;
use crate::workspace::Workspace;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conv2d {
    shape: Shape,
    r#in: [usize; 2],
    stride: [usize; 2],
    #[serde(default = "undilated")]
    dilation: [usize; 2],
    #[serde(default = "one_group")]
    groups: usize,
}

fn undilated() -> [usize; 2] {
    [1, 1]
}

fn one_group() -> usize {
    1
}

impl Op for Conv2d {
    facts!("conv2d");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let [x, w] = self.r#in;
        let (image, kernel) = (earlier.masked(x)?, earlier.weight(w)?);
        let shape = self.result(image, kernel).ok_or_else(|| {
            let Conv2d { stride, dilation, groups, .. } = self;
            format!(
                "a kernel of shape {kernel:?} with stride {stride:?}, dilation {dilation:?} and \
                 groups {groups} does not fit an image of shape {image:?}"
            )
        })?;
        Ok((shape, Form::Product))
    }
}

impl Conv2d {
    fn result(&self, image: &[usize], kernel: &[usize]) -> Option<Shape> {
        let ([h, w, c], [kh, kw, ci, o]) = (image, kernel) else { return None };
        let channels = (c.checked_rem(self.groups)?, o.checked_rem(self.groups)?);
        if channels != (0, 0) || *ci != c / self.groups {
            return None;
        }
        let [height, width] = windows([*h, *w], [*kh, *kw], self.dilation, self.stride)?;
        Some(vec![height, width, *o])
    }

    pub(crate) fn run(&self, party: &mut dyn Multiplies, running: &mut Running<'_>) -> Product {
        let [x, w] = self.r#in;
        let kernel = running.shape(w);
        let map = Map::Convolution(Convolution {
            image: running.shape(x),
            result: &self.shape,
            kernel: [kernel[0], kernel[1]],
            stride: self.stride,
            dilation: self.dilation,
            groups: self.groups,
        });
        party.multiply(running.masked(x), running.weight(w), running.elements(), map)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Matmul {
    shape: Shape,
    r#in: [usize; 2],
}

impl Op for Matmul {
    facts!("matmul");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let [x, w] = self.r#in;
        match (earlier.masked(x)?, earlier.weight(w)?) {
            ([lead @ .., k], [rows, n]) if k == rows => Ok(([lead, &[*n]].concat(), Form::Product)),
            (x, w) => Err(format!("{x:?} times {w:?} is not a matrix product of a row")),
        }
    }
}

impl Matmul {
    pub(crate) fn run(&self, party: &mut dyn Multiplies, running: &mut Running<'_>) -> Product {
        let [x, w] = self.r#in;
        let map = Map::Matmul { k: running.shape(w)[0] };
        party.multiply(running.masked(x), running.weight(w), running.elements(), map)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Multiply {
    shape: Shape,
    r#in: [usize; 2],
}

impl Op for Multiply {
    facts!("multiply");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let [x, w] = self.r#in;
        let (x, w) = (earlier.masked(x)?, earlier.weight(w)?);
        if !broadcasts(w, x) {
            return Err(format!("a weight of shape {w:?} is not broadcast to {x:?}"));
        }
        Ok((x.to_vec(), Form::Product))
    }
}

impl Multiply {
    pub(crate) fn run(&self, party: &mut dyn Multiplies, running: &mut Running<'_>) -> Product {
        let [x, w] = self.r#in;
        let map = Map::Elements(Broadcast::new(running.shape(x), running.shape(w)));
        party.multiply(running.masked(x), running.weight(w), running.elements(), map)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scale {
    shape: Shape,
    r#in: [usize; 1],
    factor: i64,
}

impl Op for Scale {
    facts!("scale");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        if self.factor == 0 {
            return Err("factor is zero".into());
        }
        Ok((earlier.masked(self.r#in[0])?.to_vec(), Form::Product))
    }
}

impl Scale {
    pub(crate) fn run(&self, party: &mut dyn Multiplies, running: &mut Running<'_>) -> Product {
        party.scale(running.masked(self.r#in[0]), self.factor as u64)
    }
}

/// A bilinear map of a value and a weight: which elements of the one meet which of the other.
pub(crate) enum Map<'a> {
    Convolution(Convolution<'a>),
    Matmul { k: usize },
    Elements(Broadcast),
}

impl Map<'_> {
    /// Σ x∗w over the terms (x, w), for all rows.
    fn apply(&self, out: &mut [u64], terms: &[(&[u64], &Matrix)], workspace: &mut Workspace) {
        let elements = terms.first().map_or(0, |(x, _)| x.len());
        match self {
            Map::Convolution(convolution) => {
                let rows = elements / convolution.image.iter().product::<usize>();
                accumulate(out, terms, &convolution.windows(rows, &mut workspace.places));
            }
            Map::Matmul { k } => {
                accumulate(out, terms, &rows_of(*k, elements / k, &mut workspace.places));
            }
            Map::Elements(broadcast) => multiply_elements(broadcast, out, terms, workspace),
        }
    }
}

fn multiply_elements(
    broadcast: &Broadcast,
    out: &mut [u64],
    terms: &[(&[u64], &Matrix)],
    workspace: &mut Workspace,
) {
    let unpacked: Vec<Vec<u64>> = terms
        .iter()
        .map(|(_, w)| {
            let mut values = workspace.take(w.len());
            w.unpack(&mut values);
            values
        })
        .collect();
    let pairs: Vec<(&[u64], &[u64])> =
        terms.iter().zip(&unpacked).map(|((x, _), w)| (*x, &w[..])).collect();
    broadcast.multiply(out, &pairs);
    unpacked.into_iter().for_each(|values| workspace.give(values));
}

/// A party's part in a product.
pub(crate) trait Multiplies: Party {
    /// The product has `n` elements, over all rows.
    fn multiply(&mut self, x: &Masked, w: &Weight, n: usize, map: Map<'_>) -> Product;
    fn scale(&mut self, x: &Masked, factor: u64) -> Product;
}

impl<R: Ring, S: Source, C> Multiplies for Data<'_, R, S, C> {
    fn multiply(&mut self, x: &Masked, w: &Weight, n: usize, map: Map<'_>) -> Product {
        let mut z = self.workspace.take(n);
        if let Weight::Data { with_m, with_lambda } = w {
            map.apply(&mut z, &[(&x.m, with_m), (&x.l, with_lambda)], self.workspace);
        }
        Product(z)
    }

    fn scale(&mut self, x: &Masked, factor: u64) -> Product {
        let mut z = self.workspace.take(x.l.len());
        let lead = self.lead();
        for ((z, m), l) in z.iter_mut().zip(&x.m).zip(&x.l) {
            *z = factor.wrapping_mul((if lead { *m } else { 0 }).wrapping_sub(*l));
        }
        Product(z)
    }
}

impl<R: Ring, S: Source, C> Multiplies for Helper<'_, R, S, C> {
    fn multiply(&mut self, x: &Masked, w: &Weight, n: usize, map: Map<'_>) -> Product {
        let mut kappa = self.workspace.take(n);
        if let Weight::Helper { lambda } = w {
            map.apply(&mut kappa, &[(&x.l, lambda)], self.workspace);
        }
        Product(kappa)
    }

    fn scale(&mut self, x: &Masked, _: u64) -> Product {
        let mut kappa = self.workspace.take(x.l.len());
        kappa.fill(0);
        Product(kappa)
    }
}
