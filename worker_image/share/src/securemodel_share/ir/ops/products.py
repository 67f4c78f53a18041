"""Products with weights, and their biases."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .base import FRACTION_BITS, Code, Interval, Op, Pair, Shape, Within
from .exact import exactly
from .windows import taps, windowed

if TYPE_CHECKING:
    from collections.abc import Iterator

# float64 has all halves of integers below
EXACT = 2.0**52
# beyond: more than it rounds in a sum of 2^22 terms, of the largest partial sum
ROUNDING = 2.0**-30
# values of all windows that a convolution lays out, 32 MiB
AT_ONCE = 2**22


@dataclass(frozen=True)
class Product(Op):
    """A product with a weight. In a graph it is divided by 2^shift: constants that are powers of
    two join its truncation and cost nothing.
    """

    shift: int = 0

    def keys(self) -> dict[str, Any]:
        return {k: v for k, v in super().keys().items() if k != "shift"}

    def multiply(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """The product of real numbers."""
        raise NotImplementedError

    def terms(self, w: Shape) -> int:
        """How many products an element of the result sums up."""
        raise NotImplementedError

    def evaluate(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        if x.dtype == np.int64:
            return exactly(self.multiply, x, w, self.terms(w.shape))
        return self.multiply(x, w)

    def bounds(self, _within: Within, /, *operands: Interval) -> Interval:
        """The product of the middle, and by |w| of how far x may be from it: two products."""
        (low, high), (w, _) = operands
        largest = np.maximum(np.abs(low), np.abs(high))
        is_exact = self.terms(w.shape) * largest.max() * np.abs(w).max() < EXACT
        rounding = 0.0 if is_exact else ROUNDING * largest
        middle = self.evaluate((low + high) / 2, w)
        around = self.evaluate((high - low) / 2 + rounding, np.abs(w))
        return middle - around, middle + around

    def emit(self, code: Code, at: int) -> None:
        operands = code.operands(at)
        weight = code.weight(at, FRACTION_BITS)
        product = code.append(at, replace(self, shift=0), (*operands, weight))
        code.define_product(at, product, FRACTION_BITS + self.shift)


@dataclass(frozen=True)
class Conv2D(Product):
    """x (H, W, C), w (kh, kw, C / groups, O): cross-correlation, valid. Output channels of a group
    see its input channels alone; both are in the order of the groups.
    """

    name: ClassVar = "conv2d"
    optional: ClassVar = ("dilation", "groups")
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    groups: int = 1

    def shape(self, x: Shape, w: Shape) -> Shape:
        if x[2] != w[2] * self.groups or w[3] % self.groups:
            raise ValueError(f"a kernel {w} in {self.groups} groups does not fit {x[2]} channels")
        return (*windowed(x, w, self.stride, self.dilation), w[3])

    def terms(self, w: Shape) -> int:
        return math.prod(w[:3])

    def multiply(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        if w.shape[2] == 1 and self.groups > 1:
            return self._by_channel(x, w)
        values = x[:1].size * math.prod(w.shape[:2])
        rows = max(1, AT_ONCE // values)
        parts = [self._by_matrix(x[i : i + rows], w) for i in range(0, len(x), rows)]
        return np.concatenate(parts)

    def _taps(self, x: np.ndarray, w: np.ndarray) -> Iterator[np.ndarray]:
        return taps(x, w.shape, self.stride, self.dilation)

    def _by_channel(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Depthwise: pixel by pixel of the kernel, nothing is summed over channels."""
        kernels = w.reshape(-1, self.groups, w.shape[3] // self.groups)
        total: Any = sum(
            tap[..., np.newaxis] * kernel
            for tap, kernel in zip(self._taps(x, w), kernels, strict=True)
        )
        return np.asarray(total.reshape(*total.shape[:3], w.shape[3]))

    def _by_matrix(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Every window as a row of a matrix, a matrix each group."""
        seen = np.stack(list(self._taps(x, w)), axis=-2)
        size = w.shape[2], w.shape[3] // self.groups
        rows = np.moveaxis(seen.reshape(-1, seen.shape[3], self.groups, size[0]), 2, 0)
        kernels = np.moveaxis(w.reshape(-1, size[0], self.groups, size[1]), 2, 0)
        terms = self.terms(w.shape)
        matrices = rows.reshape(self.groups, -1, terms), kernels.reshape(self.groups, terms, -1)
        mixed = np.moveaxis(matrices[0] @ matrices[1], 0, 1)
        return np.asarray(mixed.reshape(*seen.shape[:3], w.shape[3]))


@dataclass(frozen=True)
class MatMul(Product):
    """x (..., K), w (K, N)."""

    name: ClassVar = "matmul"

    def shape(self, x: Shape, w: Shape) -> Shape:
        if x[-1] != w[0]:
            raise ValueError(f"a matrix {w} does not fit a value of shape {x}")
        return (*x[:-1], w[1])

    def terms(self, w: Shape) -> int:
        return w[0]

    def multiply(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.asarray(x @ w)


@dataclass(frozen=True)
class Multiply(Product):
    """x times w, element by element; w is broadcast to x's shape."""

    name: ClassVar = "multiply"

    def shape(self, x: Shape, w: Shape) -> Shape:
        return broadcast(x, w)

    def terms(self, _w: Shape) -> int:
        return 1

    def multiply(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.asarray(x * w)


@dataclass(frozen=True)
class Add(Op):
    """z and a weight w, which is broadcast to z's shape: a bias. It joins the product z, or makes
    one of a value that is none.
    """

    name: ClassVar = "add"

    def shape(self, z: Shape, w: Shape) -> Shape:
        return broadcast(z, w)

    def evaluate(self, z: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.asarray(z + w)

    def emit(self, code: Code, at: int) -> None:
        product, shift = code.product(at)
        bias = code.weight(at, FRACTION_BITS + shift)
        code.define_product(at, code.append(at, self, (product, bias)), shift)


def broadcast(x: Shape, w: Shape) -> Shape:
    """x, which w is broadcast to as numpy does: right-aligned, axes of 1.

    Raises:
        ValueError: they do not fit.
    """
    aligned = zip(reversed(x), reversed(w), strict=False)
    if len(w) > len(x) or any(of not in (1, size) for size, of in aligned):
        raise ValueError(f"a weight of shape {w} is not broadcast to a value of shape {x}")
    return x
