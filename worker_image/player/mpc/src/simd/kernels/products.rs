//! Products of a matrix with many windows of a value.
//!
//! A matrix is packed into panels of eight columns, padded with zeros. An output row is the product
//! of a matrix with a window of the input: a few runs of ring elements (of a convolution's window in
//! (H, W, C) order as many as lie side by side; for a matrix product one run). With groups, a window
//! meets each group of the matrix's columns at other channels of its pixels.

#[cfg(target_arch = "x86_64")]
use super::super::level::x86;
use super::super::level::{Lanes, Level};

/// Columns of a panel: the 64-bit lanes of one AVX-512 register, or two of AVX2.
const LANES: usize = 8;
/// Output rows handled together, so that a load of the matrix serves several.
const ROWS: usize = 4;

/// A (k, n) matrix of ring elements, packed for `accumulate`.
#[derive(Clone)]
pub(crate) struct Matrix {
    k: usize,
    n: usize,
    /// Panel after panel, row after row.
    panels: Vec<[u64; LANES]>,
}

impl Matrix {
    /// From k·n values in row-major order.
    pub(crate) fn new(values: &[u64], k: usize, n: usize) -> Matrix {
        assert_eq!(values.len(), k * n, "a {k} x {n} matrix");
        let mut panels = vec![[0; LANES]; n.div_ceil(LANES) * k];
        for (j, panel) in panels.chunks_exact_mut(k.max(1)).enumerate() {
            for (row, lanes) in panel.iter_mut().enumerate() {
                let start = row * n + j * LANES;
                let count = LANES.min(n - j * LANES);
                lanes[..count].copy_from_slice(&values[start..start + count]);
            }
        }
        Matrix { k, n, panels }
    }

    /// How many values it has.
    pub(crate) fn len(&self) -> usize {
        self.k * self.n
    }

    /// The values again, in row-major order.
    pub(crate) fn unpack(&self, values: &mut [u64]) {
        for (row, values) in values.chunks_exact_mut(self.n).enumerate() {
            for (j, values) in values.chunks_mut(LANES).enumerate() {
                values.copy_from_slice(&self.panels[j * self.k + row][..values.len()]);
            }
        }
    }
}

/// Buffers for where windows are.
#[derive(Default)]
pub(crate) struct Places {
    starts: Vec<usize>,
    offsets: Vec<usize>,
}

/// Where the input of each output row is: `starts` has the first element of each window, `offsets`
/// how far from there each of its runs begins, and a run has `run` elements. The matrix's columns
/// are in `groups` equal groups; for each further one the runs begin `run` elements later.
pub(crate) struct Windows<'a> {
    starts: &'a [usize],
    offsets: &'a [usize],
    run: usize,
    groups: usize,
}

/// Which inputs the columns of a panel take, counted from the runs of the first group.
enum Reach {
    /// All the same: they are of one group.
    One(usize),
    /// Neighbours: a column and a channel a group.
    Neighbours(usize),
    /// Each its own.
    Each([usize; LANES]),
}

impl Windows<'_> {
    /// Of each panel of a matrix with `n` columns.
    fn reaches(&self, n: usize) -> Vec<Reach> {
        let first = |column: usize| column / (n / self.groups) * self.run;
        let reach = |panel: usize| {
            let columns = panel * LANES..n.min((panel + 1) * LANES);
            let (low, high) = (first(columns.start), first(columns.end - 1));
            if low == high {
                return Reach::One(low);
            }
            if (self.groups, self.run) == (n, 1) {
                return Reach::Neighbours(low);
            }
            let mut firsts = [low; LANES];
            firsts.iter_mut().zip(columns).for_each(|(at, column)| *at = first(column));
            Reach::Each(firsts)
        };
        (0..n.div_ceil(LANES)).map(reach).collect()
    }

    /// Elements from the first of a window to its last.
    fn span(&self) -> usize {
        self.offsets.iter().max().map_or(0, |last| last + self.groups * self.run)
    }
}

/// out[r, :] = Σ over (x, matrix) in `terms`: window r of x · matrix; `out` is (starts.len(), n).
pub(crate) fn accumulate(out: &mut [u64], terms: &[(&[u64], &Matrix)], windows: &Windows) {
    accumulate_with(Level::best(), out, terms, windows);
}

fn accumulate_with(level: Level, out: &mut [u64], terms: &[(&[u64], &Matrix)], windows: &Windows) {
    let Some((_, first)) = terms.first() else { return };
    let last = windows.starts.iter().max().copied().unwrap_or(0);
    for (x, matrix) in terms {
        assert_eq!((matrix.k, matrix.n), (windows.offsets.len() * windows.run, first.n));
        assert!(
            windows.starts.is_empty() || last + windows.span() <= x.len(),
            "a window ends outside its tensor"
        );
    }
    assert_eq!(first.n % windows.groups, 0, "groups of as many columns each");
    assert_eq!(out.len(), windows.starts.len() * first.n);
    let reaches = windows.reaches(first.n);
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 if level.is_available() => level.run(
            #[inline(always)]
            || all_rows::<x86::Avx512>(out, terms, windows, &reaches, first.n),
        ),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 if level.is_available() => level.run(
            #[inline(always)]
            || all_rows::<x86::Avx2>(out, terms, windows, &reaches, first.n),
        ),
        _ => all_rows::<[u64; LANES]>(out, terms, windows, &reaches, first.n),
    }
}

#[inline(always)]
fn all_rows<L: Lanes>(
    out: &mut [u64],
    terms: &[(&[u64], &Matrix)],
    windows: &Windows,
    reaches: &[Reach],
    n: usize,
) {
    let (starts, rest) = windows.starts.as_chunks::<ROWS>();
    let (out, last) = out.split_at_mut(starts.len() * ROWS * n);
    for (out, starts) in out.chunks_exact_mut(ROWS * n).zip(starts) {
        rows::<L, ROWS>(out, terms, windows, reaches, starts);
    }
    for (out, start) in last.chunks_exact_mut(n).zip(rest) {
        rows::<L, 1>(out, terms, windows, reaches, &[*start]);
    }
}

/// R output rows.
#[inline(always)]
fn rows<L: Lanes, const R: usize>(
    out: &mut [u64],
    terms: &[(&[u64], &Matrix)],
    windows: &Windows,
    reaches: &[Reach],
    starts: &[usize; R],
) {
    let n = out.len() / R;
    for (panel, reach) in reaches.iter().enumerate() {
        let mut sums = [L::load(&L::ZERO); R];
        for (x, matrix) in terms {
            let weights = &matrix.panels[panel * matrix.k..][..matrix.k];
            match reach {
                Reach::One(first) => one(&mut sums, x, starts, windows, *first, weights),
                Reach::Neighbours(first) => {
                    neighbours(&mut sums, x, starts, windows.offsets, *first, weights)
                }
                Reach::Each(firsts) => each(&mut sums, x, starts, windows, firsts, weights),
            }
        }
        let first = panel * LANES;
        let count = LANES.min(n - first);
        for (i, sum) in sums.iter().enumerate() {
            out[i * n + first..][..count].copy_from_slice(&sum.store()[..count]);
        }
    }
}

/// Adds the products of a panel where all columns take the same inputs.
#[inline(always)]
fn one<L: Lanes, const R: usize>(
    sums: &mut [L; R],
    x: &[u64],
    starts: &[usize; R],
    windows: &Windows,
    first: usize,
    weights: &[[u64; LANES]],
) {
    for (offset, weights) in windows.offsets.iter().zip(weights.chunks_exact(windows.run)) {
        let mut inputs: [&[u64]; R] = [&[]; R];
        for (input, start) in inputs.iter_mut().zip(starts) {
            *input = &x[start + offset + first..][..windows.run];
        }
        for (i, w) in weights.iter().enumerate() {
            let w = L::load(w);
            for (sum, input) in sums.iter_mut().zip(&inputs) {
                *sum = sum.add_product(L::splat(input[i]), w);
            }
        }
    }
}

/// The same where each column takes the input next to that of the column before, one a run.
#[inline(always)]
fn neighbours<L: Lanes, const R: usize>(
    sums: &mut [L; R],
    x: &[u64],
    starts: &[usize; R],
    offsets: &[usize],
    first: usize,
    weights: &[[u64; LANES]],
) {
    for (offset, w) in offsets.iter().zip(weights) {
        let w = L::load(w);
        for (sum, start) in sums.iter_mut().zip(starts) {
            let input = &x[start + offset + first..];
            let input = match input.first_chunk() {
                Some(lanes) => L::load(lanes),
                None => L::load(&padded(input)),
            };
            *sum = sum.add_product(input, w);
        }
    }
}

/// The end of a tensor, with zeros for what a panel of fewer columns does not take.
#[cold]
fn padded(input: &[u64]) -> [u64; LANES] {
    let mut lanes = [0; LANES];
    lanes[..input.len()].copy_from_slice(input);
    lanes
}

/// The same where each column has inputs of its own.
#[inline(always)]
fn each<L: Lanes, const R: usize>(
    sums: &mut [L; R],
    x: &[u64],
    starts: &[usize; R],
    windows: &Windows,
    firsts: &[usize; LANES],
    weights: &[[u64; LANES]],
) {
    for (offset, weights) in windows.offsets.iter().zip(weights.chunks_exact(windows.run)) {
        for (i, w) in weights.iter().enumerate() {
            let w = L::load(w);
            for (sum, start) in sums.iter_mut().zip(starts) {
                let mut input = L::ZERO;
                for (lane, first) in input.iter_mut().zip(firsts) {
                    *lane = x[start + offset + i + first];
                }
                *sum = sum.add_product(L::load(&input), w);
            }
        }
    }
}

/// A convolution with valid padding; shapes are those of one row of the batch.
pub(crate) struct Convolution<'a> {
    /// H, W, C
    pub(crate) image: &'a [usize],
    /// H', W', O
    pub(crate) result: &'a [usize],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) groups: usize,
}

impl Convolution<'_> {
    /// Its windows over so many rows.
    pub(crate) fn windows<'p>(&self, rows: usize, places: &'p mut Places) -> Windows<'p> {
        let (height, width, channels) = (self.image[0], self.image[1], self.image[2]);
        let Places { starts, offsets } = places;
        starts.clear();
        for row in 0..rows {
            for y in 0..self.result[0] {
                let line = (row * height + y * self.stride[0]) * width;
                let pixels = (0..self.result[1]).map(|column| line + column * self.stride[1]);
                starts.extend(pixels.map(|pixel| pixel * channels));
            }
        }

        // Pixels side by side are one run, unless groups part their channels.
        let joined = self.dilation[1] == 1 && self.groups == 1;
        let (columns, run) = if joined {
            (1, self.kernel[1] * channels)
        } else {
            (self.kernel[1], channels / self.groups)
        };
        offsets.clear();
        for y in 0..self.kernel[0] {
            let line = y * self.dilation[0] * width;
            let pixels = (0..columns).map(|column| line + column * self.dilation[1]);
            offsets.extend(pixels.map(|pixel| pixel * channels));
        }
        Windows { starts, offsets, run, groups: self.groups }
    }
}

/// The windows of a matrix product with rows of `k` elements.
pub(crate) fn rows_of(k: usize, rows: usize, places: &mut Places) -> Windows<'_> {
    let Places { starts, offsets } = places;
    starts.clear();
    starts.extend((0..rows).map(|row| row * k));
    offsets.clear();
    offsets.push(0);
    Windows { starts, offsets, run: k, groups: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_levels_are_equal_and_right(
            run in 1usize..20,
            runs in 1usize..4,
            n in 1usize..23,
            count in 1usize..11,
            seed in any::<u64>(),
        ) {
            let mut state = seed | 1;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state ^ state >> 29
            };
            let (k, pitch) = (runs * run, run + 2);
            let offsets: Vec<usize> = (0..runs).map(|at| at * pitch).collect();
            let mut random = |n: usize| -> Vec<u64> { (0..n).map(|_| next()).collect() };
            let (x, y) = (random(3 * count + runs * pitch), random(3 * count + runs * pitch));
            let (a, b) = (random(k * n), random(k * n));
            let starts: Vec<usize> = (0..count).map(|r| 3 * r).collect();
            let windows = Windows { starts: &starts, offsets: &offsets, run, groups: 1 };
            let (first, second) = (Matrix::new(&a, k, n), Matrix::new(&b, k, n));
            for level in Level::ALL {
                let mut out = vec![1; count * n];
                accumulate_with(*level, &mut out, &[(&x, &first), (&y, &second)], &windows);
                for (at, got) in out.iter().enumerate() {
                    let (r, j) = (at / n, at % n);
                    let sum = |x: &[u64], w: &[u64]| {
                        (0..k).fold(0u64, |sum, i| {
                            let x = x[starts[r] + i / run * pitch + i % run];
                            sum.wrapping_add(x.wrapping_mul(w[i * n + j]))
                        })
                    };
                    prop_assert_eq!(*got, sum(&x, &a).wrapping_add(sum(&y, &b)), "{:?}", level);
                }
            }
        }
    }

    /// A convolution against its definition, at every level of vector instructions.
    fn check(convolution: &Convolution, o: usize, rows: usize, seed: u64) {
        let Convolution { image, result, kernel, stride, dilation, groups } = convolution;
        let mut state = seed | 1;
        let mut random = |n: usize| -> Vec<u64> {
            (0..n)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    state ^ state >> 29
                })
                .collect()
        };
        let (channels, each) = (image[2] / groups, o / groups);
        let k = kernel[0] * kernel[1] * channels;
        let x = random(rows * image.iter().product::<usize>());
        let w = random(k * o);
        let (mut places, matrix) = (Places::default(), Matrix::new(&w, k, o));
        let windows = convolution.windows(rows, &mut places);
        for level in Level::ALL {
            let mut out = vec![1; rows * result[0] * result[1] * o];
            accumulate_with(*level, &mut out, &[(&x, &matrix)], &windows);
            for (at, got) in out.iter().enumerate() {
                let (pixel, j) = (at / o, at % o);
                let (row, y, column) = (
                    pixel / result[1] / result[0],
                    pixel / result[1] % result[0],
                    pixel % result[1],
                );
                let want = (0..k).fold(0u64, |sum, i| {
                    let (dy, dx, c) =
                        (i / channels / kernel[1], i / channels % kernel[1], i % channels);
                    let line = row * image[0] + y * stride[0] + dy * dilation[0];
                    let pixel = line * image[1] + column * stride[1] + dx * dilation[1];
                    let x = x[pixel * image[2] + j / each * channels + c];
                    sum.wrapping_add(x.wrapping_mul(w[i * o + j]))
                });
                assert_eq!(*got, want, "{level:?}, element {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_convolution_sums_products_over_the_window(
            kernel in [1usize..4, 1usize..4],
            stride in [1usize..3, 1usize..3],
            dilation in [1usize..4, 1usize..4],
            result in [1usize..4, 1usize..4],
            (groups, channels, each) in (1usize..20, 1usize..4, 1usize..10),
            rows in 1usize..3,
            seed in any::<u64>(),
        ) {
            let side = |i: usize| {
                (result[i] - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 + seed as usize % 2
            };
            let result = [0, 1].map(|i| {
                (side(i) - (kernel[i] - 1) * dilation[i] - 1) / stride[i] + 1
            });
            let (image, o) = ([side(0), side(1), groups * channels], groups * each);
            let result = [result[0], result[1], o];
            let (image, result) = (&image[..], &result[..]);
            let convolution = Convolution { image, result, kernel, stride, dilation, groups };
            check(&convolution, o, rows, seed);
        }

        #[test]
        fn depthwise_columns_are_neighbours(channels in 1usize..40, seed in any::<u64>()) {
            let (image, result) = (&[4, 3, channels][..], &[2, 2, channels][..]);
            let ([kernel, stride], dilation) = ([[3, 2], [1, 1]], [1, 1]);
            let convolution =
                Convolution { image, result, kernel, stride, dilation, groups: channels };
            check(&convolution, channels, 2, seed);
        }

        #[test]
        fn a_matrix_is_unpacked_to_what_it_was_made_of(k in 1usize..9, n in 1usize..20) {
            let values: Vec<u64> = (0..(k * n) as u64).collect();
            let mut again = vec![0; k * n];
            Matrix::new(&values, k, n).unpack(&mut again);
            prop_assert_eq!(again, values);
        }
    }
}
