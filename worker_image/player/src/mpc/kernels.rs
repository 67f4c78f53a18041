//! Linear algebra in the ring: the one place where the players' time goes that is not waiting.
//!
//! A matrix is packed into panels of four columns, padded with zeros; an input row is a run of ring elements anywhere in a tensor. A convolution is one
//! accumulation a kernel row (`conv2d`), because a window's row of pixels is contiguous in (H, W, C) order.

use super::simd;

/// Columns of a panel: the 64-bit lanes of one AVX2 register.
pub(super) const LANES: usize = 4;

/// A (k, n) matrix of ring elements, packed for `accumulate`.
#[derive(Clone)]
pub struct Matrix {
    pub k: usize,
    pub n: usize,
    pub(super) panels: Vec<u64>,
}

impl Matrix {
    /// From k·n values in row-major order.
    pub fn new(values: &[u64], k: usize, n: usize) -> Matrix {
        assert_eq!(values.len(), k * n, "a {k} x {n} matrix");
        let mut panels = vec![0; n.div_ceil(LANES) * k * LANES];
        for (j, panel) in panels.chunks_exact_mut((k * LANES).max(1)).enumerate() {
            for (row, lanes) in panel.chunks_exact_mut(LANES).enumerate() {
                let start = row * n + j * LANES;
                let count = LANES.min(n - j * LANES);
                lanes[..count].copy_from_slice(&values[start..start + count]);
            }
        }
        Matrix { k, n, panels }
    }
}

/// out[r, :] += x[rows[r] .. rows[r] + k] · matrix for every r; `out` is (rows.len(), n).
pub fn accumulate(out: &mut [u64], x: &[u64], rows: &[usize], matrix: &Matrix) {
    assert_eq!(out.len(), rows.len() * matrix.n);
    assert!(rows.iter().all(|r| r.checked_add(matrix.k).is_some_and(|end| end <= x.len())), "an input row ends outside its tensor");
    if simd::accumulate(out, x, rows, matrix) {
        return;
    }
    portable(out, x, rows, matrix);
}

/// The definition; the vector kernels are tested against it.
pub(super) fn portable(out: &mut [u64], x: &[u64], rows: &[usize], matrix: &Matrix) {
    for (panel, lanes) in matrix.panels.chunks_exact((matrix.k * LANES).max(1)).enumerate() {
        let first = panel * LANES;
        let count = LANES.min(matrix.n - first);
        for (r, start) in rows.iter().enumerate() {
            let mut sum = [0u64; LANES];
            for (v, w) in x[*start..start + matrix.k].iter().zip(lanes.chunks_exact(LANES)) {
                for lane in 0..LANES {
                    sum[lane] = sum[lane].wrapping_add(v.wrapping_mul(w[lane]));
                }
            }
            let at = r * matrix.n + first;
            for (o, s) in out[at..at + count].iter_mut().zip(sum) {
                *o = o.wrapping_add(s);
            }
        }
    }
}

/// out += x ∗ w: x (batch, H, W, C), w one matrix a kernel row, valid padding; `image` and `result` are shapes of one row of the batch.
pub fn conv2d(out: &mut [u64], x: &[u64], image: &[usize], result: &[usize], kernel: &[Matrix], stride: [usize; 2]) {
    let (height, width, channels) = (image[0], image[1], image[2]);
    let batch = x.len() / (height * width * channels);
    let mut rows = Vec::with_capacity(batch * result[0] * result[1]);
    for (ky, matrix) in kernel.iter().enumerate() {
        rows.clear();
        for b in 0..batch {
            for y in 0..result[0] {
                let line = (b * height + y * stride[0] + ky) * width;
                rows.extend((0..result[1]).map(|column| (line + column * stride[1]) * channels));
            }
        }
        accumulate(out, x, &rows, matrix);
    }
}

/// out += x · w: x (batch, k), w (k, n).
pub fn matmul(out: &mut [u64], x: &[u64], w: &Matrix) {
    let rows: Vec<usize> = (0..x.len() / w.k).map(|b| b * w.k).collect();
    accumulate(out, x, &rows, w);
}

/// Sums over windows: x (batch, H, W, C) to (batch, H', W', C).
pub fn sum_pool(x: &[u64], image: &[usize], result: &[usize], window: [usize; 2], dilation: [usize; 2], stride: [usize; 2]) -> Vec<u64> {
    let (height, width, channels) = (image[0], image[1], image[2]);
    let batch = x.len() / (height * width * channels);
    let mut out = vec![0u64; batch * result[0] * result[1] * channels];
    let mut pixels = out.chunks_exact_mut(channels);
    for b in 0..batch {
        for y in 0..result[0] {
            for column in 0..result[1] {
                let Some(pixel) = pixels.next() else { return out };
                for dy in 0..window[0] {
                    for dx in 0..window[1] {
                        let line = b * height + y * stride[0] + dy * dilation[0];
                        let from = (line * width + column * stride[1] + dx * dilation[1]) * channels;
                        for (p, v) in pixel.iter_mut().zip(&x[from..from + channels]) {
                            *p = p.wrapping_add(*v);
                        }
                    }
                }
            }
        }
    }
    out
}

/// The axes of each row permuted: result axis i is axis `perm[i]` of `shape`.
pub fn transpose(x: &[u64], shape: &[usize], perm: &[usize]) -> Vec<u64> {
    let mut strides = vec![1; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    let mut order = vec![0usize];
    for p in perm {
        order = order.iter().flat_map(|base| (0..shape[*p]).map(move |i| (base, i))).map(|(base, i)| base + i * strides[*p]).collect();
    }
    x.chunks_exact(order.len()).flat_map(|row| order.iter().map(|i| row[*i])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn vector_and_portable_kernels_are_equal(k in 1usize..40, n in 1usize..23, count in 1usize..11, seed in any::<u64>()) {
            let mut state = seed | 1;
            let mut next = || { state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); state ^ state >> 29 };
            let x: Vec<u64> = (0..k + 3 * count).map(|_| next()).collect();
            let values: Vec<u64> = (0..k * n).map(|_| next()).collect();
            let rows: Vec<usize> = (0..count).map(|r| 3 * r).collect();
            let matrix = Matrix::new(&values, k, n);
            let start: Vec<u64> = (0..count * n).map(|_| next()).collect();
            let (mut a, mut b) = (start.clone(), start);
            portable(&mut a, &x, &rows, &matrix);
            accumulate(&mut b, &x, &rows, &matrix);
            prop_assert_eq!(&a, &b);
            let (r, j) = (count - 1, n - 1);
            let expected = (0..k).fold(0u64, |s, i| s.wrapping_add(x[rows[r] + i].wrapping_mul(values[i * n + j])));
            let mut alone = vec![0; count * n];
            accumulate(&mut alone, &x, &rows, &matrix);
            prop_assert_eq!(alone[r * n + j], expected);
        }
    }

    #[test]
    fn a_convolution_sums_products_over_the_window() {
        let image: Vec<u64> = (0..2 * 4 * 4 * 2).collect(); // batch 2, 4 x 4, 2 channels
        let kernel: Vec<u64> = (0..3 * 2 * 2 * 3).map(|v| v * v + 1).collect(); // 3 x 2, 2 in, 3 out
        let rows: Vec<Matrix> = kernel.chunks(2 * 2 * 3).map(|row| Matrix::new(row, 4, 3)).collect();
        let mut out = vec![0; 2 * 2 * 2 * 3];
        conv2d(&mut out, &image, &[4, 4, 2], &[2, 2, 3], &rows, [1, 2]);
        for (index, got) in out.iter().enumerate() {
            let (b, y, x, o) = (index / 12, index / 6 % 2, index / 3 % 2, index % 3);
            let mut want = 0;
            for (dy, dx, c) in (0..3).flat_map(|dy| (0..2).flat_map(move |dx| (0..2).map(move |c| (dy, dx, c)))) {
                want += image[((b * 4 + y + dy) * 4 + 2 * x + dx) * 2 + c] * kernel[((dy * 2 + dx) * 2 + c) * 3 + o];
            }
            assert_eq!(*got, want, "element {index}");
        }
    }

    #[test]
    fn pooling_and_transposing_follow_their_shapes() {
        let image: Vec<u64> = (0..9).collect();
        assert_eq!(sum_pool(&image, &[3, 3, 1], &[2, 2, 1], [2, 2], [1, 1], [1, 1]), [8, 12, 20, 24]);
        assert_eq!(sum_pool(&image, &[3, 3, 1], &[1, 1, 1], [2, 2], [2, 2], [1, 1]), [16]);
        let x: Vec<u64> = (0..12).collect(); // two rows of (2, 3)
        assert_eq!(transpose(&x, &[2, 3], &[1, 0]), [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
    }
}
