"""Fixed point and additive shares: the client's half of docs/protocol.md, input and output."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from .errors import InputError

FRACTION_BITS = 16
Ring = npt.NDArray[np.uint64]


def encode(array: npt.ArrayLike, row_shape: tuple[int, ...], low: int, high: int) -> Ring:
    """Floats (B, ...row) as ring elements round(v * 2^16) of the same shape.

    Args:
        low, high: the smallest and the largest ring value that the model takes.

    Raises:
        InputError: wrong shape or type, NaN, infinite, or a value out of range; names the
            first element that is wrong.
    """
    x = np.asarray(array)
    if x.dtype.kind not in "fiub":
        raise InputError(f"the input is of type {x.dtype}; give an array of numbers")
    if x.shape[1:] != row_shape or x.ndim == 0 or len(x) == 0:
        wanted = ", ".join(map(str, row_shape))
        raise InputError(
            f"the input has shape {x.shape}, the model takes (B, {wanted}) with at least one row"
        )

    x = x.astype(np.float64)
    finite = np.isfinite(x)
    if not finite.all():
        raise InputError(
            f"the input is {x[~finite][0]} at {_first(~finite)}; remove NaN and infinite values"
        )

    scaled = np.rint(x * 2.0**FRACTION_BITS)
    beyond = (scaled < low) | (scaled > high)
    if beyond.any():
        least, most = low / 2**FRACTION_BITS, high / 2**FRACTION_BITS
        raise InputError(
            f"the input is {x[beyond][0]:g} at {_first(beyond)}, "
            f"the model takes values from {least:g} to {most:g}; scale the input as in training, "
            "or create the SecureModel with a wider spec.model.inputRange (or inputBound)"
        )
    return scaled.astype(np.int64).view(np.uint64)


def decode(ring: Ring) -> npt.NDArray[np.float64]:
    """Ring elements as floats."""
    return ring.view(np.int64).astype(np.float64) / 2.0**FRACTION_BITS


def split(secret: Ring) -> tuple[Ring, Ring]:
    """Two additive shares; each alone is uniformly random. Randomness is the system's."""
    first = np.frombuffer(os.urandom(secret.nbytes), dtype="<u8").reshape(secret.shape)
    return first, secret - first  # wraps modulo 2^64


def reconstruct(first: Ring, second: Ring) -> Ring:
    """The secret of two additive shares."""
    return first + second


def _first(mask: npt.NDArray[np.bool_]) -> str:
    return "[" + ", ".join(str(i) for i in np.argwhere(mask)[0]) + "]"
