"""Where values come from and where they go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from .base import Code, Interval, Op, Shape, Within
from .constants import Scale
from .truncation import Truncation


@dataclass(frozen=True)
class Input(Op):
    """The client's row; in code with the smallest and the largest value in ring units."""

    name: ClassVar = "input"
    row: Shape
    low: int = 0
    high: int = 0

    @property
    def bound(self) -> int:
        """The largest absolute value."""
        return max(abs(self.low), abs(self.high))

    def keys(self) -> dict[str, Any]:
        is_symmetric = self.low == -self.high
        sides = {} if is_symmetric else {"low": self.low, "high": self.high}
        return {"bound": self.bound, **sides}

    def shape(self) -> Shape:
        return self.row

    def bounds(self, _within: Within, /, *_: Interval) -> Interval:
        row = (1, *self.row)
        return np.full(row, float(self.low)), np.full(row, float(self.high))

    def emit(self, code: Code, at: int) -> None:
        code.define(at, code.append(at, replace(self, low=code.low, high=code.high)))


@dataclass(frozen=True)
class Weight(Op):
    """A weight, which has no batch; in code with its scale."""

    name: ClassVar = "weight"
    of: Shape
    scale: int = 0

    def keys(self) -> dict[str, Any]:
        return {"scale": self.scale}

    def shape(self) -> Shape:
        return self.of


@dataclass(frozen=True)
class Output(Op):
    """What goes to the client; the last node."""

    name: ClassVar = "output"

    def shape(self, x: Shape) -> Shape:
        return x

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return x

    def emit(self, code: Code, at: int) -> None:
        """Players give out nothing that has not been truncated since the input."""
        own = code.own_product(at) or self._made_product(code, at)
        if own is None:
            code.define(at, code.append(at, self, code.operands(at)))
        else:
            product, shift = own
            code.define(at, code.append(at, TruncateOutput(shift), (product,)))

    def _made_product(self, code: Code, at: int) -> tuple[int, int] | None:
        operands = code.operands(at)
        return None if code.is_truncated(*operands) else (code.append(at, Scale(2), operands), 1)


@dataclass(frozen=True)
class TruncateOutput(Truncation):
    """A truncation that goes to the client; the last instruction."""

    name: ClassVar = "truncate_output"
