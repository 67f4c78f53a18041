//! A weight that is added to, or multiplied with, every row of a value, and is broadcast to it as
//! numpy does.

use super::super::level::{vectorized, Level};

/// Which element of a weight meets which of a row: `starts.len()` runs of `run` elements, over and
/// over. In each the weight's elements from that place on follow each other, or it is one element.
pub(crate) struct Broadcast {
    starts: Vec<usize>,
    run: usize,
    follows: bool,
}

impl Broadcast {
    /// `weight` is broadcast to `shape`: they are aligned at the right, and each of its axes is
    /// equal or 1.
    pub(crate) fn new(shape: &[usize], weight: &[usize]) -> Broadcast {
        let shared = &shape[shape.len() - weight.len()..];
        // Size, and whether the weight follows. What repeats from the first axis on needs no place.
        let axes: Vec<(usize, bool)> = shared
            .iter()
            .zip(weight)
            .map(|(whole, own)| (*whole, whole == own))
            .filter(|(whole, _)| *whole > 1)
            .skip_while(|(_, follows)| !follows)
            .collect();
        let Some((_, follows)) = axes.last().copied() else {
            return Broadcast { starts: vec![0], run: shape.iter().product(), follows: false };
        };

        let alike = axes.iter().rev().take_while(|axis| axis.1 == follows).count();
        let (outer, inner) = axes.split_at(axes.len() - alike);
        let run = inner.iter().map(|axis| axis.0).product();
        let (mut starts, mut stride) = (vec![0], if follows { run } else { 1 });
        for (size, follows) in outer.iter().rev() {
            let step = if *follows { stride } else { 0 };
            starts = (0..*size).flat_map(|i| starts.iter().map(move |at| i * step + at)).collect();
            stride *= if *follows { *size } else { 1 };
        }
        Broadcast { starts, run, follows }
    }

    /// Elements after which the weight begins again.
    fn period(&self) -> usize {
        self.starts.len() * self.run
    }

    /// z + w, where z are rows of the shape.
    pub(crate) fn add(&self, w: &[u64], z: &mut [u64]) {
        vectorized(
            #[inline(always)]
            || {
                for (z, at) in z.chunks_exact_mut(self.run).zip(self.starts.iter().cycle()) {
                    if self.follows {
                        let pairs = z.iter_mut().zip(&w[*at..][..self.run]);
                        pairs.for_each(|(z, w)| *z = z.wrapping_add(*w));
                    } else {
                        let w = w[*at];
                        z.iter_mut().for_each(|z| *z = z.wrapping_add(w));
                    }
                }
            },
        );
    }

    /// Σ x·w over the terms (x, w), where x are rows of the shape.
    pub(crate) fn multiply(&self, out: &mut [u64], terms: &[(&[u64], &[u64])]) {
        self.multiply_with(Level::best(), out, terms);
    }

    fn multiply_with(&self, level: Level, out: &mut [u64], terms: &[(&[u64], &[u64])]) {
        assert_eq!(out.len() % self.period(), 0, "whole rows");
        assert!(terms.iter().all(|(x, _)| x.len() == out.len()), "as many elements as results");
        level.run(
            #[inline(always)]
            || self.multiply_each(out, terms),
        );
    }

    #[inline(always)]
    fn multiply_each(&self, out: &mut [u64], terms: &[(&[u64], &[u64])]) {
        for (i, (out, at)) in
            out.chunks_exact_mut(self.run).zip(self.starts.iter().cycle()).enumerate()
        {
            out.fill(0);
            for (x, w) in terms {
                let sums = out.iter_mut().zip(&x[i * self.run..][..self.run]);
                if self.follows {
                    let w = &w[*at..][..self.run];
                    sums.zip(w).for_each(|((o, x), w)| *o = o.wrapping_add(x.wrapping_mul(*w)));
                } else {
                    let w = w[*at];
                    sums.for_each(|(o, x)| *o = o.wrapping_add(x.wrapping_mul(w)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The element of the weight that meets each element of a row.
    fn met(shape: &[usize], weight: &[usize]) -> Vec<usize> {
        let lead = shape.len() - weight.len();
        (0..shape.iter().product())
            .map(|at: usize| {
                let (mut rest, mut place, mut stride) = (at, 0, 1);
                for axis in (0..shape.len()).rev() {
                    let i = rest % shape[axis];
                    rest /= shape[axis];
                    if axis >= lead {
                        let size = weight[axis - lead];
                        place += i % size * stride;
                        stride *= size;
                    }
                }
                place
            })
            .collect()
    }

    proptest! {
        #[test]
        fn a_weight_is_broadcast_as_numpy_does_at_every_level(
            shape in prop::collection::vec(1usize..6, 1..5),
            ones in 0usize..16,
            lead in 0usize..4,
            rows in 1usize..3,
        ) {
            let lead = lead.min(shape.len() - 1);
            let axes = shape[lead..].iter().enumerate();
            let weight: Vec<usize> =
                axes.map(|(i, size)| if ones >> i & 1 == 1 { 1 } else { *size }).collect();
            let (met, broadcast) = (met(&shape, &weight), Broadcast::new(&shape, &weight));
            let n = rows * met.len();
            let spread = |v: usize| (v as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let w: Vec<u64> = (0..weight.iter().product()).map(spread).collect();
            let (x, y): (Vec<u64>, Vec<u64>) = (0..n).map(|i| (spread(i), spread(3 * i))).unzip();
            let of = |at: usize| w[met[at % met.len()]];

            for level in Level::ALL {
                let mut out = vec![1; n];
                broadcast.multiply_with(*level, &mut out, &[(&x, &w), (&y, &w)]);
                let want: Vec<u64> =
                    (0..n).map(|i| x[i].wrapping_add(y[i]).wrapping_mul(of(i))).collect();
                prop_assert_eq!(out, want, "{:?}", level);
            }
            let mut z = x.clone();
            broadcast.add(&w, &mut z);
            let want: Vec<u64> = (0..n).map(|i| x[i].wrapping_add(of(i))).collect();
            prop_assert_eq!(z, want);
        }
    }

    #[test]
    fn what_lies_side_by_side_is_one_run() {
        let of = |shape: &[usize], weight: &[usize]| {
            let Broadcast { starts, run, follows } = Broadcast::new(shape, weight);
            (starts, run, follows)
        };
        assert_eq!(of(&[4, 5, 6], &[6]), (vec![0], 6, true));
        assert_eq!(of(&[4, 5, 6], &[4, 5, 6]), (vec![0], 120, true));
        assert_eq!(of(&[4, 5, 6], &[4, 1, 1]), (vec![0, 1, 2, 3], 30, false));
        assert_eq!(of(&[4, 5, 6], &[1, 1]), (vec![0], 120, false));
    }
}
