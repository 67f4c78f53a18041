"""Comparisons with a public number."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .base import COMPARISON_WINDOW, FRACTION_BITS, Code, Interval, Op, Shape, Within
from .truncation import Truncation


@dataclass(frozen=True)
class Relu(Op):
    """x where it is at least the threshold, else 0; in code the threshold is in ring units."""

    name: ClassVar = "relu"
    optional: ClassVar = ("threshold",)
    threshold: float = 0

    def shape(self, x: Shape) -> Shape:
        return x

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(x >= self.threshold, x, 0))

    def bounds(self, within: Within, /, *operands: Interval) -> Interval:
        """It falls once, from a threshold below 0 to 0 or from 0 to a threshold above."""
        ((low, high),) = operands
        compared = (low - self.threshold, high - self.threshold)
        within(compared, COMPARISON_WINDOW, "the input of a ReLU")
        is_kept, is_cut = high >= self.threshold, low < self.threshold
        least = np.where(is_kept, np.maximum(low, self.threshold), 0)
        most = np.where(is_kept, high, 0)
        lows = np.where(is_cut, np.minimum(least, 0), least)
        return lows, np.where(is_cut, np.maximum(most, 0), most)

    def emit(self, code: Code, at: int) -> None:
        own = None if self.threshold else code.own_product(at)
        if own is None:
            threshold = round(self.threshold * 2**FRACTION_BITS)
            relu = replace(self, threshold=threshold)
            code.define(at, code.append(at, relu, code.operands(at)))
        else:
            product, shift = own
            code.define(at, code.append(at, TruncateRelu(shift), (product,)))


@dataclass(frozen=True)
class TruncateRelu(Truncation):
    """The ReLU of a truncation."""

    name: ClassVar = "truncate_relu"

    def evaluate(self, truncated: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(truncated, 0))

    def bounds(self, within: Within, /, *operands: Interval) -> Interval:
        return Relu().bounds(within, super().bounds(within, *operands))
