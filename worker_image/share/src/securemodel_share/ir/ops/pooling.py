"""One value of those in a window, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from .base import COMPARISON_WINDOW, Interval, Op, Pair, Shape, Within, no_code
from .windows import taps, windowed


@dataclass(frozen=True)
class AveragePool(Op):
    """The mean of each window of (H, W, C), valid."""

    name: ClassVar = "avg_pool"
    window: Pair
    stride: Pair

    def shape(self, x: Shape) -> Shape:
        return (*windowed(x, self.window, self.stride), x[2])

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        pixels = self.window[0] * self.window[1]
        return np.asarray(reduce(np.add, taps(x, self.window, self.stride)) / pixels)

    def emit(self, *_: Any) -> None:
        raise no_code(self)


@dataclass(frozen=True)
class SumPool(Op):
    """The sum of each window of (H, W, C), valid."""

    name: ClassVar = "sum_pool"
    window: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)

    def shape(self, x: Shape) -> Shape:
        return (*windowed(x, self.window, self.stride, self.dilation), x[2])

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(reduce(np.add, taps(x, self.window, self.stride, self.dilation)))


@dataclass(frozen=True)
class MaxPool(Op):
    """The largest value of each window of (H, W, C), valid."""

    name: ClassVar = "max_pool"
    window: Pair
    stride: Pair

    def shape(self, x: Shape) -> Shape:
        return (*windowed(x, self.window, self.stride), x[2])

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return self._reduced(np.maximum, x)

    def bounds(self, within: Within, /, *operands: Interval) -> Interval:
        """Any two values of a window may meet: the largest of some of them with another one."""
        ((low, high),) = operands
        most, least = self._reduced(np.maximum, high), self._reduced(np.minimum, low)
        what = "the difference of two values that a max pooling compares"
        within((least - most, most - least), COMPARISON_WINDOW, what)
        return self.evaluate(low), most

    def _reduced(self, by: np.ufunc, x: np.ndarray) -> np.ndarray:
        return np.asarray(reduce(by, taps(x, self.window, self.stride)))
