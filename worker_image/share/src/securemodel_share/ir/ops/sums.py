"""Two values of one shape, element by element; local."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .base import Interval, Op, Shape, Within


@dataclass(frozen=True)
class Sum(Op):
    """Two values of one shape, added."""

    name: ClassVar = "sum"

    def shape(self, x: Shape, y: Shape) -> Shape:
        return _one_shape(x, y, "added")

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(x + y)


@dataclass(frozen=True)
class Subtract(Op):
    """x - y, of one shape."""

    name: ClassVar = "subtract"

    def shape(self, x: Shape, y: Shape) -> Shape:
        return _one_shape(x, y, "subtracted")

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(x - y)

    def bounds(self, _within: Within, /, *operands: Interval) -> Interval:
        (low, high), (least, most) = operands
        return low - most, high - least


def _one_shape(x: Shape, y: Shape, what: str) -> Shape:
    if x != y:
        raise ValueError(f"values of shapes {x} and {y} cannot be {what}")
    return x
