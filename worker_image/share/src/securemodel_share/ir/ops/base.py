"""What every operation declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import numpy as np

from securemodel_share.errors import Reason, ShareError

FRACTION_BITS = 16
# precision of a constant that is no power of two
CONSTANT_BITS = 24
# docs/program.md: what a truncation takes away at most
LARGEST_SHIFT = 31
# what the protocol computes right (docs/protocol.md, Ranges)
TRUNCATION_RANGE = 2.0**62
COMPARISON_WINDOW = 2.0**31

Shape = tuple[int, ...]
Pair = tuple[int, int]
Interval = tuple[np.ndarray, np.ndarray]
# hears of a value, its limit, and what it is
Within = Callable[[Interval, float, str], None]


class Code(Protocol):
    """Fixed-point code in the making. `at` is always a node of the graph; values are indices of
    instructions. A product has 2^(16 + shift) to the unit until it is truncated, which happens when
    a node asks for its value.
    """

    low: int
    high: int

    def shape(self, at: int) -> Shape:
        """Of the node's value."""

    def operands(self, at: int) -> tuple[int, ...]:
        """The values that the node reads, truncated, weights left out."""

    def product(self, at: int) -> tuple[int, int]:
        """The value that the node reads first, as a product: the product and its shift."""

    def own_product(self, at: int) -> tuple[int, int] | None:
        """The same, if it is one that is not truncated yet and that nothing else reads."""

    def is_truncated(self, value: int) -> bool:
        """Whether there is a truncation on every path from the input to this value."""

    def weight(self, at: int, scale: int) -> int:
        """The node's weight, in fixed point of that scale."""

    def append(self, at: int, op: Op, operands: tuple[int, ...] = ()) -> int:
        """One more instruction."""

    def define(self, at: int, value: int) -> None:
        """This is the value of the node."""

    def define_product(self, at: int, product: int, shift: int) -> None:
        """This is the value of the node, not truncated."""


@dataclass(frozen=True)
class Op:
    """One operation with its attributes."""

    name: ClassVar[str]
    # attributes that are written only where they are not the default
    optional: ClassVar[tuple[str, ...]] = ()

    def keys(self) -> dict[str, Any]:
        """The attributes, as docs/program.md has them."""
        values = {field: getattr(self, field.name) for field in fields(self)}
        return {
            field.name: _listed(value)
            for field, value in values.items()
            if field.name not in self.optional or value != field.default
        }

    def shape(self, *operands: Any, **_: Any) -> Shape:
        """The result's shape, from those of the operands.

        Raises:
            ValueError: they do not fit.
        """
        raise NotImplementedError

    def evaluate(self, *operands: Any, **_: Any) -> np.ndarray:
        """The result, over real numbers or ring elements."""
        raise NotImplementedError

    def bounds(self, _within: Within, /, *operands: Interval) -> Interval:
        """The smallest and the largest result, from those of the operands. As it is here for what
        grows with each operand.
        """
        lows, highs = zip(*operands, strict=True)
        return self.evaluate(*lows), self.evaluate(*highs)

    def emit(self, code: Code, at: int) -> None:
        """Code for node `at`, which is of this operation. As it is here for what is an instruction
        itself.
        """
        code.define(at, code.append(at, self, code.operands(at)))


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, tuple) else value


def no_code(op: Op) -> ShareError:
    """For what passes rewrite before there is code."""
    return ShareError(
        Reason.INTERNAL_ERROR, f"there is no code for {op.name!r}; please report this model"
    )
