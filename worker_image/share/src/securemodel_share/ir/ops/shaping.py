"""Values at other places; local."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .base import Op, Shape


@dataclass(frozen=True)
class Reshape(Op):
    """Row-major."""

    name: ClassVar = "reshape"
    to: Shape

    def keys(self) -> dict[str, Any]:
        return {}

    def shape(self, x: Shape) -> Shape:
        if math.prod(x) != math.prod(self.to):
            raise ValueError(f"a value of shape {x} has no shape {self.to}")
        return self.to

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), *self.to)


@dataclass(frozen=True)
class Transpose(Op):
    """Axes of the row."""

    name: ClassVar = "transpose"
    perm: Shape

    def shape(self, x: Shape) -> Shape:
        return tuple(x[p] for p in self.perm)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return x.transpose(0, *(p + 1 for p in self.perm))


@dataclass(frozen=True)
class Gather(Op):
    """Along each of some axes (ascending), element i is element index[i] of x; NOWHERE gives 0."""

    NOWHERE: ClassVar = -1

    name: ClassVar = "gather"
    axis: tuple[int, ...]
    index: tuple[tuple[int, ...], ...]

    @classmethod
    def nothing(cls, of: Shape) -> Gather:
        """Zeros in place of a value of this shape."""
        return cls((0,), ((cls.NOWHERE,) * of[0],))

    def shape(self, x: Shape) -> Shape:
        shape = list(x)
        for axis, index in zip(self.axis, self.index, strict=True):
            if not index or min(index) < self.NOWHERE or max(index) >= x[axis]:
                raise ValueError(f"axis {axis} of a value of shape {x} has not all of {index}")
            shape[axis] = len(index)
        return tuple(shape)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        for axis, index in zip(self.axis, self.index, strict=True):
            there = np.array(index).reshape(-1, *(1,) * (x.ndim - axis - 2)) != self.NOWHERE
            # a number out of range must not be looked up: NOWHERE would be the last element
            taken = np.take(x, np.maximum(index, 0), axis=axis + 1)
            x = taken if there.all() else np.where(there, taken, 0)
        return x


@dataclass(frozen=True)
class Concat(Op):
    """Values one after the other along an axis; all other axes are alike."""

    name: ClassVar = "concat"
    axis: int

    def shape(self, *operands: Shape) -> Shape:
        axis, sizes = self.axis, [shape[self.axis] for shape in operands]
        results = {(*shape[:axis], sum(sizes), *shape[axis + 1 :]) for shape in operands}
        if len(results) > 1:
            raise ValueError(f"values of shapes {operands} do not go together along axis {axis}")
        return results.pop()

    def evaluate(self, *operands: np.ndarray) -> np.ndarray:
        return np.concatenate(operands, axis=self.axis + 1)
