"""Products back to 16 fractional bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .base import TRUNCATION_RANGE, Interval, Op, Shape, Within


@dataclass(frozen=True)
class Truncation(Op):
    """floor(z / 2^shift) or one more, and what comes right after it. It is evaluated with z
    truncated already, which depends on the arithmetic.
    """

    shift: int

    def shape(self, z: Shape) -> Shape:
        return z

    def evaluate(self, truncated: np.ndarray) -> np.ndarray:
        return truncated

    def bounds(self, within: Within, /, *operands: Interval) -> Interval:
        (low, high), unit = operands[0], 2.0**self.shift
        within((low, high), TRUNCATION_RANGE, "a product")
        return np.floor(low / unit), np.floor(high / unit) + 1


@dataclass(frozen=True)
class Truncate(Truncation):
    """A truncation alone."""

    name: ClassVar = "truncate"
