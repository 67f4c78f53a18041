"""One value and a public number."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .base import CONSTANT_BITS, FRACTION_BITS, LARGEST_SHIFT, Code, Interval, Op, Shape, Within
from .shaping import Gather


@dataclass(frozen=True)
class Scale(Op):
    """A product with a public integer."""

    name: ClassVar = "scale"
    factor: int

    def shape(self, x: Shape) -> Shape:
        return x

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return x * self.factor

    def bounds(self, _within: Within, /, *operands: Interval) -> Interval:
        ends = [end * self.factor for end in operands[0]]
        return np.minimum(*ends), np.maximum(*ends)


@dataclass(frozen=True)
class AddConstant(Op):
    """A public number added to every element; in code in ring units."""

    name: ClassVar = "add_constant"
    value: float

    def shape(self, x: Shape) -> Shape:
        return x

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x + self.value)

    def emit(self, code: Code, at: int) -> None:
        value = round(self.value * 2**FRACTION_BITS)
        (x,) = code.operands(at)
        code.define(at, code.append(at, replace(self, value=value), (x,)) if value else x)


@dataclass(frozen=True)
class MultiplyConstant(Op):
    """Multiplication by a public number."""

    name: ClassVar = "multiply_constant"
    factor: float

    def shape(self, x: Shape) -> Shape:
        return x

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x * self.factor)

    def emit(self, code: Code, at: int) -> None:
        bits = _bits(self.factor)
        factor, operands = round(self.factor * 2**bits), code.operands(at)
        if factor:
            code.define_product(at, code.append(at, Scale(factor), operands), bits)
        else:
            code.define(at, code.append(at, Gather.nothing(code.shape(at)), operands))


# a factor below has fewer than 17 of CONSTANT_BITS
SMALL = 2.0**-7


def _bits(factor: float) -> int:
    """Behind the point of a public factor."""
    return CONSTANT_BITS if abs(factor) >= SMALL else LARGEST_SHIFT


@dataclass(frozen=True)
class Divide(Op):
    """Division by a whole number."""

    name: ClassVar = "divide"
    divisor: int

    def shape(self, x: Shape) -> Shape:
        return x

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x / self.divisor)

    def emit(self, code: Code, at: int) -> None:
        factor, shift = reciprocal(self.divisor)
        product = code.append(at, Scale(factor), code.operands(at))
        code.define_product(at, product, shift)


def reciprocal(divisor: int) -> tuple[int, int]:
    """1/divisor as an integer factor and a shift."""
    if divisor & (divisor - 1) == 0:
        return 1, divisor.bit_length() - 1
    bits = _bits(1 / divisor)
    return round(2**bits / divisor), bits
