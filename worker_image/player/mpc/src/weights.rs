//! Weights as the kernels want them.

use crate::simd::kernels::products::Matrix;

/// One weight as this role uses it: the matrices that its masks and masked values are multiplied
/// by (docs/protocol.md, conv2d).
pub(crate) enum Weight {
    /// m_x is multiplied by `with_m` (alice: m_w − λ_w,a; bob: −λ_w,b), and this player's share of
    /// λ_x by `with_lambda` (−m_w).
    Data { with_m: Matrix, with_lambda: Matrix },
    /// carol: λ_w.
    Helper { lambda: Matrix },
    /// A bias, as this role adds it to its part of the product.
    Bias(Vec<u64>),
}

/// A kernel (kh, kw, C, O) as a (kh·kw·C, O) matrix; a matrix (K, N) as itself.
pub(crate) fn matrix(values: &[u64], shape: &[usize]) -> Matrix {
    let columns = shape.last().copied().unwrap_or(1);
    Matrix::new(values, values.len() / columns, columns)
}
