"""Numbers as the players compute with them: fixed point in the ring of integers modulo 2^64, and additive shares (docs/protocol.md)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ring = NDArray[np.uint64]

RING = np.dtype("<u8")


def encode(values: object, row: Sequence[int], fraction_bits: int, bound: int) -> Ring:
    """Checks a batch of inputs and puts it in fixed point: round(v * 2^fraction_bits) modulo 2^64.

    values: array-like of floats or integers, shape (B, *row) with B >= 1, every |v| * 2^fraction_bits <= bound.
    Returns the ring elements, the same shape. Raises InputError that names the first offending index.
    """
    array = _numeric(values)
    _check_shape(array, tuple(row))
    real = array.astype(np.float64)
    finite = np.isfinite(real)
    if not finite.all():
        index = _first(~finite)
        raise InputError(f"{_at(index)} is {real[index]}; every input value has to be a finite number: repair the data, nothing was sent")
    scaled = real * float(1 << fraction_bits)
    inside = np.abs(scaled) <= bound
    if not inside.all():
        index = _first(~inside)
        limit = bound / (1 << fraction_bits)
        raise InputError(
            f"{_at(index)} is {real[index]:g}, beyond the model's input bound of -{limit:g} to {limit:g}; "
            "scale the input as the model's training data was scaled, nothing was sent"
        )
    return np.rint(scaled).astype(np.int64).view(np.uint64).astype(RING, copy=False)


def split(ring: Ring) -> tuple[Ring, Ring]:
    """Two additive shares modulo 2^64, same shape: the first from the system's randomness, the second what is missing to the value. Each alone is uniform."""
    alice = np.frombuffer(os.urandom(ring.size * RING.itemsize), dtype=RING).reshape(ring.shape)
    return alice, ring - alice


def decode(alice: Ring, bob: Ring, fraction_bits: int) -> NDArray[np.float64]:
    """Adds two output shares modulo 2^64 and leaves the ring: signed, divided by 2^fraction_bits."""
    signed = (alice + bob).astype(np.uint64, copy=False).view(np.int64)
    return signed.astype(np.float64) / float(1 << fraction_bits)


def _numeric(values: object) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError as e:
        raise InputError(f"the input is not an array: {e}; rows have to be of one length") from e
    if array.dtype.kind not in "fiub":
        raise InputError(f"the input's data type is {array.dtype}; convert it to numbers first, for example with numpy.asarray(x, dtype=numpy.float32)")
    return array


def _check_shape(array: NDArray[Any], row: tuple[int, ...]) -> None:
    if array.ndim == len(row) + 1 and array.shape[1:] == row:
        if array.shape[0] == 0:
            raise InputError("the input has no rows; give at least one")
        return
    expected = f"(B, {', '.join(map(str, row))})"
    hint = "reshape it"
    if array.shape == row:
        hint = "one row needs a batch axis: x[None]"
    elif (*array.shape[1:], 1) == row:
        hint = "the last axis is missing: x[..., None]"
    raise InputError(f"the input's shape is {array.shape}, the model takes {expected} with B rows; {hint}")


def _first(wrong: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))


def _at(index: tuple[int, ...]) -> str:
    return f"input[{', '.join(map(str, index))}]"
