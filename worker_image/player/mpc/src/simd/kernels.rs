//! Linear algebra in the ring: the one place where a player spends time on neither randomness nor
//! waiting.
//!
//! A matrix is packed into panels of eight columns, padded with zeros. An output row is the product
//! of a matrix with a window of the input: a few runs of ring elements, equally far apart (the rows
//! of a convolution's window in (H, W, C) order; for a matrix product one run).

#[cfg(target_arch = "x86_64")]
use super::level::x86;
use super::level::{vectorized, Lanes, Level};

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
}

/// Where the input of each output row is: `runs` runs of `run` elements, `pitch` apart; `starts`
/// has the first of each row.
pub(crate) struct Windows<'a> {
    starts: &'a [usize],
    runs: usize,
    run: usize,
    pitch: usize,
}

/// out[r, :] = Σ over (x, matrix) in `terms`: window r of x · matrix; `out` is (starts.len(), n).
pub(crate) fn accumulate(out: &mut [u64], terms: &[(&[u64], &Matrix)], windows: &Windows) {
    accumulate_with(Level::best(), out, terms, windows);
}

fn accumulate_with(level: Level, out: &mut [u64], terms: &[(&[u64], &Matrix)], windows: &Windows) {
    let Some((_, first)) = terms.first() else { return };
    let span = windows.runs.saturating_sub(1) * windows.pitch + windows.run;
    let last = windows.starts.iter().max().copied().unwrap_or(0);
    for (x, matrix) in terms {
        assert_eq!((matrix.k, matrix.n), (windows.runs * windows.run, first.n));
        assert!(
            windows.starts.is_empty() || last + span <= x.len(),
            "a window ends outside its tensor"
        );
    }
    assert_eq!(out.len(), windows.starts.len() * first.n);
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 if level.is_available() => level.run(
            #[inline(always)]
            || all_rows::<x86::Avx512>(out, terms, windows, first.n),
        ),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 if level.is_available() => level.run(
            #[inline(always)]
            || all_rows::<x86::Avx2>(out, terms, windows, first.n),
        ),
        _ => all_rows::<[u64; LANES]>(out, terms, windows, first.n),
    }
}

#[inline(always)]
fn all_rows<L: Lanes>(out: &mut [u64], terms: &[(&[u64], &Matrix)], windows: &Windows, n: usize) {
    let mut r = 0;
    while r + ROWS <= windows.starts.len() {
        rows::<L, ROWS>(out, terms, windows, r, n);
        r += ROWS;
    }
    while r < windows.starts.len() {
        rows::<L, 1>(out, terms, windows, r, n);
        r += 1;
    }
}

/// R output rows from row `r` on.
#[inline(always)]
fn rows<L: Lanes, const R: usize>(
    out: &mut [u64],
    terms: &[(&[u64], &Matrix)],
    windows: &Windows,
    r: usize,
    n: usize,
) {
    for panel in 0..n.div_ceil(LANES) {
        let mut sums = [L::load(&L::ZERO); R];
        for (x, matrix) in terms {
            let panel = &matrix.panels[panel * matrix.k..][..matrix.k];
            for (segment, panel) in panel.chunks_exact(windows.run).enumerate() {
                let mut inputs: [&[u64]; R] = [&[]; R];
                for (input, start) in inputs.iter_mut().zip(&windows.starts[r..]) {
                    *input = &x[start + segment * windows.pitch..][..windows.run];
                }
                for (i, w) in panel.iter().enumerate() {
                    let w = L::load(w);
                    for (sum, input) in sums.iter_mut().zip(&inputs) {
                        *sum = sum.add_product(input[i], w);
                    }
                }
            }
        }
        let first = panel * LANES;
        let count = LANES.min(n - first);
        for (i, sum) in sums.iter().enumerate() {
            out[(r + i) * n + first..][..count].copy_from_slice(&sum.store()[..count]);
        }
    }
}

/// The windows of a convolution, valid padding: `image` (H, W, C) and `result` (H', W', O) are
/// shapes of one row of the batch. Writes where they start.
pub(crate) fn convolution<'a>(
    image: &[usize],
    result: &[usize],
    kernel: [usize; 2],
    stride: [usize; 2],
    rows: usize,
    starts: &'a mut Vec<usize>,
) -> Windows<'a> {
    let (height, width, channels) = (image[0], image[1], image[2]);
    starts.clear();
    for row in 0..rows {
        for y in 0..result[0] {
            let line = (row * height + y * stride[0]) * width;
            starts.extend((0..result[1]).map(|column| (line + column * stride[1]) * channels));
        }
    }
    Windows { starts, runs: kernel[0], run: kernel[1] * channels, pitch: width * channels }
}

/// The windows of a matrix product with rows of `k` elements.
pub(crate) fn rows_of(k: usize, rows: usize, starts: &mut Vec<usize>) -> Windows<'_> {
    starts.clear();
    starts.extend((0..rows).map(|row| row * k));
    Windows { starts, runs: 1, run: k, pitch: 0 }
}

/// A window over the pixels of (H, W, C) images: for sums and maxima.
#[derive(Clone, Copy)]
pub(crate) struct Pooling {
    pub(crate) image: [usize; 3],
    /// H', W'
    pub(crate) result: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) stride: [usize; 2],
}

impl Pooling {
    /// For every pixel of the result: `visit(from, to)` with the first element of the input's pixel
    /// (dy, dx) of its window and of the result's pixel.
    #[inline(always)]
    fn pixels(&self, x: usize, [dy, dx]: [usize; 2], mut visit: impl FnMut(usize, usize)) {
        let [height, width, channels] = self.image;
        let mut to = 0;
        for row in 0..x / (height * width * channels) {
            for y in 0..self.result[0] {
                let line = row * height + y * self.stride[0] + dy * self.dilation[0];
                for column in 0..self.result[1] {
                    visit(
                        (line * width + column * self.stride[1] + dx * self.dilation[1]) * channels,
                        to,
                    );
                    to += channels;
                }
            }
        }
    }

    /// Adds pixel (dy, dx) of every window of x (batch, H, W, C) to `out` (batch, H', W', C).
    pub(crate) fn add(&self, x: &[u64], offset: [usize; 2], out: &mut [u64]) {
        let channels = self.image[2];
        vectorized(
            #[inline(always)]
            || {
                self.pixels(x.len(), offset, |from, to| {
                    for (o, v) in out[to..to + channels].iter_mut().zip(&x[from..from + channels]) {
                        *o = o.wrapping_add(*v);
                    }
                });
            },
        );
    }

    /// Pixel (dy, dx) of every window.
    pub(crate) fn pick(&self, x: &[u64], offset: [usize; 2], out: &mut [u64]) {
        let channels = self.image[2];
        self.pixels(x.len(), offset, |from, to| {
            out[to..to + channels].copy_from_slice(&x[from..from + channels])
        });
    }
}

/// The axes of each row permuted: result axis i is axis `perm[i]` of `shape`.
pub(crate) fn transpose(x: &[u64], shape: &[usize], perm: &[usize], out: &mut [u64]) {
    let mut strides = vec![1; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    let mut order = vec![0usize];
    for p in perm {
        order = order
            .iter()
            .flat_map(|base| (0..shape[*p]).map(move |i| (base, i)))
            .map(|(base, i)| base + i * strides[*p])
            .collect();
    }
    for (row, out) in x.chunks_exact(order.len()).zip(out.chunks_exact_mut(order.len())) {
        out.iter_mut().zip(&order).for_each(|(o, from)| *o = row[*from]);
    }
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
            let mut random = |n: usize| -> Vec<u64> { (0..n).map(|_| next()).collect() };
            let (x, y) = (random(3 * count + runs * pitch), random(3 * count + runs * pitch));
            let (a, b) = (random(k * n), random(k * n));
            let starts: Vec<usize> = (0..count).map(|r| 3 * r).collect();
            let windows = Windows { starts: &starts, runs, run, pitch };
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

    #[test]
    fn a_convolution_sums_products_over_the_window() {
        // batch 2, 4 x 4, 2 channels
        let image: Vec<u64> = (0..2 * 4 * 4 * 2).collect();
        // 3 x 2, 2 in, 3 out
        let kernel: Vec<u64> = (0..3 * 2 * 2 * 3).map(|v| v * v + 1).collect();
        let (mut out, mut starts) = (vec![0; 2 * 2 * 2 * 3], vec![]);
        let windows = convolution(&[4, 4, 2], &[2, 2, 3], [3, 2], [1, 2], 2, &mut starts);
        accumulate(&mut out, &[(&image, &Matrix::new(&kernel, 12, 3))], &windows);
        for (index, got) in out.iter().enumerate() {
            let (b, y, x, o) = (index / 12, index / 6 % 2, index / 3 % 2, index % 3);
            let mut want = 0;
            for (dy, dx, c) in
                (0..3).flat_map(|dy| (0..2).flat_map(move |dx| (0..2).map(move |c| (dy, dx, c))))
            {
                want += image[((b * 4 + y + dy) * 4 + 2 * x + dx) * 2 + c]
                    * kernel[((dy * 2 + dx) * 2 + c) * 3 + o];
            }
            assert_eq!(*got, want, "element {index}");
        }
    }

    #[test]
    fn pooling_and_transposing_follow_their_shapes() {
        let image: Vec<u64> = (0..9).collect();
        let sums = |result: [usize; 2], dilation: [usize; 2]| {
            let mut out = vec![0; result[0] * result[1]];
            let pooling = Pooling { image: [3, 3, 1], result, dilation, stride: [1, 1] };
            [[0, 0], [0, 1], [1, 0], [1, 1]]
                .into_iter()
                .for_each(|offset| pooling.add(&image, offset, &mut out));
            out
        };
        assert_eq!((sums([2, 2], [1, 1]), sums([1, 1], [2, 2])), (vec![8, 12, 20, 24], vec![16]));
        let x: Vec<u64> = (0..12).collect(); // two rows of (2, 3)
        let mut turned = vec![0; 12];
        transpose(&x, &[2, 3], &[1, 0], &mut turned);
        assert_eq!(turned, [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
    }
}
