//! conv2d, matmul, scale: a masked value times a weight or a public constant (local).

use serde::Deserialize;

use super::form::{Earlier, Form, Shape};
use super::op::{facts, Op};
use crate::party::base::Party;
use crate::party::data::Data;
use crate::party::helper::Helper;
use crate::random::prg::Source;
use crate::random::ring::Ring;
use crate::simd::kernels::{self, Windows};
use crate::values::{Masked, Product, Running};
use crate::weights::Weight;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conv2d {
    shape: Shape,
    r#in: [usize; 2],
    stride: [usize; 2],
}

impl Op for Conv2d {
    facts!("conv2d");

    fn check(&self, earlier: &Earlier<'_>) -> Result<(Shape, Form), String> {
        let ([x, w], stride) = (self.r#in, self.stride);
        let (image, kernel) = (earlier.masked(x)?, earlier.weight(w)?);
        match (image, kernel) {
            ([h, width, c], [kh, kw, ci, o])
                if c == ci && kh <= h && kw <= width && stride.iter().all(|s| *s > 0) =>
            {
                let shape = vec![(h - kh) / stride[0] + 1, (width - kw) / stride[1] + 1, *o];
                Ok((shape, Form::Product))
            }
            _ => Err(format!(
                "a kernel of shape {kernel:?} with stride {stride:?} does not fit an image of \
                 shape {image:?}"
            )),
        }
    }
}

impl Conv2d {
    pub(crate) fn run(&self, party: &mut dyn Multiplies, running: &mut Running<'_>) -> Product {
        let [x, w] = self.r#in;
        let (image, kernel) = (running.shape(x), running.shape(w));
        let (kernel, stride) = ([kernel[0], kernel[1]], self.stride);
        let map = Map::Conv2d { image, result: &self.shape, kernel, stride };
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
            ([k], [rows, n]) if k == rows => Ok((vec![*n], Form::Product)),
            (x, w) => Err(format!("{x:?} times {w:?} is not a matrix product of a row")),
        }
    }
}

impl Matmul {
    pub(crate) fn run(&self, party: &mut dyn Multiplies, running: &mut Running<'_>) -> Product {
        let [x, w] = self.r#in;
        let map = Map::Matmul { k: running.shape(x)[0] };
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

/// A bilinear map of a value and a weight: which windows of the value meet the weight's matrix.
pub(crate) enum Map<'a> {
    Conv2d { image: &'a [usize], result: &'a [usize], kernel: [usize; 2], stride: [usize; 2] },
    Matmul { k: usize },
}

impl Map<'_> {
    /// For `elements` elements of all rows.
    fn windows<'s>(&self, elements: usize, starts: &'s mut Vec<usize>) -> Windows<'s> {
        match self {
            Map::Conv2d { image, result, kernel, stride } => {
                let rows = elements / image.iter().product::<usize>();
                kernels::convolution(image, result, *kernel, *stride, rows, starts)
            }
            Map::Matmul { k } => kernels::rows_of(*k, elements / k, starts),
        }
    }
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
            let windows = map.windows(x.m.len(), &mut self.workspace.starts);
            kernels::accumulate(&mut z, &[(&x.m, with_m), (&x.l, with_lambda)], &windows);
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
            let windows = map.windows(x.l.len(), &mut self.workspace.starts);
            kernels::accumulate(&mut kappa, &[(&x.l, lambda)], &windows);
        }
        Product(kappa)
    }

    fn scale(&mut self, x: &Masked, _: u64) -> Product {
        let mut kappa = self.workspace.take(x.l.len());
        kappa.fill(0);
        Product(kappa)
    }
}
