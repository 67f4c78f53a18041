//! The AVX2 form of the matrix kernel, chosen at run time, bit-equal to the portable one. The crate's only `unsafe`.

use super::kernels::Matrix;

/// Does the work of `kernels::accumulate` if this machine has the instructions; false: nothing was done. The caller has checked all bounds.
#[cfg(target_arch = "x86_64")]
pub(super) fn accumulate(out: &mut [u64], x: &[u64], rows: &[usize], matrix: &Matrix) -> bool {
    if !std::arch::is_x86_feature_detected!("avx2") {
        return false;
    }
    // SAFETY: the instructions are there; `accumulate_avx2` only needs that besides what it asserts.
    unsafe { x86::accumulate_avx2(out, x, rows, matrix) };
    true
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn accumulate(_: &mut [u64], _: &[u64], _: &[usize], _: &Matrix) -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::kernels::{Matrix, LANES};

    /// Input rows handled together, so that a load of the matrix serves several.
    const ROWS: usize = 4;

    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn accumulate_avx2(out: &mut [u64], x: &[u64], rows: &[usize], matrix: &Matrix) {
        let (k, n) = (matrix.k, matrix.n);
        for (panel, lanes) in matrix.panels.chunks_exact((k * LANES).max(1)).enumerate() {
            let first = panel * LANES;
            let count = LANES.min(n - first);
            let mut store = |r: usize, sums: &[__m256i]| {
                for (i, sum) in sums.iter().enumerate() {
                    let mut values = [0u64; LANES];
                    // SAFETY: `values` has room for one register.
                    unsafe { _mm256_storeu_si256(values.as_mut_ptr().cast(), *sum) };
                    let at = (r + i) * n + first;
                    for (o, v) in out[at..at + count].iter_mut().zip(values) {
                        *o = o.wrapping_add(v);
                    }
                }
            };
            let mut r = 0;
            while r + ROWS <= rows.len() {
                let inputs: [&[u64]; ROWS] = std::array::from_fn(|i| &x[rows[r + i]..rows[r + i] + k]);
                // SAFETY: AVX2 is there; every input has k elements, `lanes` k registers.
                store(r, &unsafe { products(inputs, lanes, k) });
                r += ROWS;
            }
            while r < rows.len() {
                // SAFETY: as above.
                store(r, &unsafe { products([&x[rows[r]..rows[r] + k]], lanes, k) });
                r += 1;
            }
        }
    }

    /// The products of R input rows with one panel. A 64-bit product modulo 2^64 is lo·lo + 2^32·(lo·hi + hi·lo); the two sums are kept apart until the end.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn products<const R: usize>(inputs: [&[u64]; R], lanes: &[u64], k: usize) -> [__m256i; R] {
        let mut low = [_mm256_setzero_si256(); R];
        let mut cross = [_mm256_setzero_si256(); R];
        for i in 0..k {
            // SAFETY: `lanes` holds k·LANES elements.
            let w = unsafe { _mm256_loadu_si256(lanes.as_ptr().add(i * LANES).cast()) };
            let w_high = _mm256_srli_epi64(w, 32);
            for row in 0..R {
                // SAFETY: every input has k elements.
                let v = _mm256_set1_epi64x(unsafe { *inputs[row].get_unchecked(i) } as i64);
                let v_high = _mm256_srli_epi64(v, 32);
                low[row] = _mm256_add_epi64(low[row], _mm256_mul_epu32(v, w));
                let mixed = _mm256_add_epi64(_mm256_mul_epu32(v, w_high), _mm256_mul_epu32(v_high, w));
                cross[row] = _mm256_add_epi64(cross[row], mixed);
            }
        }
        std::array::from_fn(|row| _mm256_add_epi64(low[row], _mm256_slli_epi64(cross[row], 32)))
    }
}
