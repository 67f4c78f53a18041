"""Arithmetic. Keras has layers of these names, of several values, and writes operations between
layers (`x / 255`) under the same ones, with numbers among the arguments of the call. Keras 2 writes
such an operation as a TFOpLambda.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .base import LayerType
from .merging import aligned, total
from .normalization import plus, times
from .settings import Setting, constants

if TYPE_CHECKING:
    from securemodel_share.errors import Finding

NUMBER: Setting = constants()
FIRST, SECOND = "argument 0", "argument 1"


class Arithmetic(LayerType, of_keras=False):
    """Values of one shape, or a value and numbers. `needs`: what else is not computed."""

    arguments: ClassVar = {FIRST: NUMBER, SECOND: NUMBER}
    operands: ClassVar = None
    needs: ClassVar[str]

    def lower(self, tfe: Any, *xs: Any) -> Any:
        if number := self.number:
            return self.with_number(tfe, xs[0], *number)
        return self.of_values(aligned(tfe, xs)) if len(xs) > 1 else xs[0]

    @property
    def number(self) -> tuple[np.ndarray, bool] | None:
        """The numbers that it is called with, and whether they come first."""
        for where in (FIRST, SECOND):
            if where in self.layer.arguments:
                return NUMBER.read(self.layer.arguments[where]), where == FIRST
        return None

    def with_number(self, tfe: Any, x: Any, number: np.ndarray, first: bool) -> Any:
        """Of a value and numbers, which may come first."""
        raise NotImplementedError

    def of_values(self, xs: list[Any]) -> Any:
        """Of several values of one shape."""
        raise NotImplementedError

    def fits(self, values: int) -> bool:
        """Whether it can be computed of so many values, and its numbers."""
        raise NotImplementedError

    def findings(self) -> list[Finding]:
        found = super().findings()
        if not found and not self.fits(len(self.layer.inputs)):
            found.append(self.finding(f"has other operands than {self.needs}", "build it without"))
        return found


class Add(Arithmetic):
    """The sum of its operands."""

    needs: ClassVar = "values, or one value and numbers"

    def fits(self, values: int) -> bool:
        return values == 1 or self.number is None

    def with_number(self, tfe: Any, x: Any, number: np.ndarray, first: bool) -> Any:  # noqa: ARG002
        return plus(tfe, x, number)

    def of_values(self, xs: list[Any]) -> Any:
        return total(xs)


class Subtract(Arithmetic):
    """The first operand less the second."""

    needs: ClassVar = "two values, or one value and numbers"

    def fits(self, values: int) -> bool:
        return values == (1 if self.number else 2)

    def with_number(self, tfe: Any, x: Any, number: np.ndarray, first: bool) -> Any:
        return plus(tfe, tfe.negative(x), number) if first else plus(tfe, x, -number)

    def of_values(self, xs: list[Any]) -> Any:
        return xs[0] - xs[1]


class Multiply(Arithmetic):
    """The operand times numbers."""

    needs: ClassVar = "one value and numbers: a product of two values is not supported"

    def fits(self, values: int) -> bool:
        return values == 1

    def with_number(self, tfe: Any, x: Any, number: np.ndarray, first: bool) -> Any:  # noqa: ARG002
        return times(tfe, x, number)


class TrueDivide(Arithmetic):
    """The operand divided by numbers."""

    needs: ClassVar = "one value, divided by numbers that are not 0"

    def fits(self, values: int) -> bool:
        if values != 1 or self.number is None:
            return False
        divisor, first = self.number
        return not first and bool((divisor != 0).all())

    def with_number(self, tfe: Any, x: Any, number: np.ndarray, first: bool) -> Any:  # noqa: ARG002
        return times(tfe, x, 1 / number)


class Divide(TrueDivide):
    """The operand divided by numbers."""


class Negative(LayerType):
    """The operand with the other sign."""

    def lower(self, tfe: Any, x: Any, /) -> Any:
        return tfe.negative(x)
