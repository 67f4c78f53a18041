"""Products of ring elements by the processor's floating-point kernels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# integers up to 2^53 are exact in float64, in any order of a sum
EXACT_BITS = 53


def exactly(
    multiply: Callable[[np.ndarray, np.ndarray], np.ndarray],
    x: np.ndarray,
    w: np.ndarray,
    terms: int,
) -> np.ndarray:
    """multiply(x, w) modulo 2^64 for int64 operands, where each element of it sums up `terms`
    products. numpy has no fast integer kernels: the wider operand is halved until sums are exact.
    """
    bits = _bits(x), _bits(w)
    if sum(bits) + (terms - 1).bit_length() <= EXACT_BITS:
        return multiply(x.astype(np.float64), w.astype(np.float64)).astype(np.int64)
    half = (max(bits) + 1) // 2
    if bits[0] >= bits[1]:
        high, low = _halves(x, half)
        parts = exactly(multiply, high, w, terms), exactly(multiply, low, w, terms)
    else:
        high, low = _halves(w, half)
        parts = exactly(multiply, x, high, terms), exactly(multiply, x, low, terms)
    return np.asarray((parts[0] << half) + parts[1])


def _bits(values: np.ndarray) -> int:
    """The smallest k such that no absolute value is above 2^k."""
    return max(int(values.max()), ~int(values.min()), 0).bit_length()


def _halves(values: np.ndarray, half: int) -> tuple[np.ndarray, np.ndarray]:
    """high · 2^half + low, where 0 <= low < 2^half."""
    high = values >> half
    return high, values - (high << half)
