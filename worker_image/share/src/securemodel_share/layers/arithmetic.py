"""Arithmetic. Keras has layers of these names, of several values, and writes operations between
layers (`x / 255`) under the same ones, with numbers among the arguments of the call. Keras 2 writes
such an operation as a TFOpLambda.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .base import LayerType
from .merging import aligned, total
from .normalization import plus, times
from .settings import Setting, constants, only

if TYPE_CHECKING:
    from securemodel_share.errors import Finding

NUMBER: Setting = constants()
FIRST, SECOND = "argument 0", "argument 1"
LINEAR_ONLY = (
    "products and quotients of two values of the network are not supported, only those with "
    "numbers; build it without"
)


class Arithmetic(LayerType, of_keras=False):
    """Values of one shape, or a value and numbers."""

    arguments: ClassVar = {FIRST: NUMBER, SECOND: NUMBER}
    operands: ClassVar = None

    def lower(self, tfe: Any, *xs: Any) -> Any:
        if number := self.number:
            return self.with_number(tfe, xs[0], *number)
        return self.of_values(aligned(tfe, xs)) if len(xs) > 1 else xs[0]

    @property
    def number(self) -> tuple[np.ndarray, bool] | None:
        """What the call is given beside values, and whether that comes first."""
        for where in (FIRST, SECOND):
            if where in self.layer.arguments:
                return NUMBER.read(self.layer.arguments[where]), where == FIRST
        return None

    def with_number(self, tfe: Any, x: Any, number: np.ndarray, first: bool) -> Any:
        """Of a value and numbers, which may come first."""
        raise NotImplementedError

    def of_values(self, xs: list[Any]) -> Any:
        """Of values of one shape."""
        raise NotImplementedError

    def findings(self) -> list[Finding]:
        found = super().findings()
        given = len(self.layer.inputs) + len(self.layer.arguments)
        if not found and not self.takes(given):
            found.append(self.finding(f"takes {given} operands", LINEAR_ONLY))
        return found

    def takes(self, given: int) -> bool:
        """Whether it is computed of so many operands, numbers included."""
        return given <= 2 or self.number is None  # noqa: PLR2004 - as operators


class Add(Arithmetic):
    """The sum of its operands."""

    def with_number(self, tfe: Any, x: Any, number: np.ndarray, first: bool) -> Any:  # noqa: ARG002
        return plus(tfe, x, number)

    def of_values(self, xs: list[Any]) -> Any:
        return total(xs)


class Subtract(Arithmetic):
    """The first operand less the second."""

    def with_number(self, tfe: Any, x: Any, number: np.ndarray, first: bool) -> Any:
        return plus(tfe, x * -1.0, number) if first else plus(tfe, x, -number)

    def of_values(self, xs: list[Any]) -> Any:
        return xs[0] - xs[1]

    def takes(self, given: int) -> bool:
        return given == 2  # noqa: PLR2004 - as the operator


class Multiply(Arithmetic):
    """The operand times numbers."""

    def with_number(self, tfe: Any, x: Any, number: np.ndarray, first: bool) -> Any:  # noqa: ARG002
        return times(tfe, x, number)

    def takes(self, given: int) -> bool:
        return given == 1 or (given == 2 and self.number is not None)  # noqa: PLR2004 - likewise


class TrueDivide(Arithmetic):
    """The operand divided by numbers."""

    def with_number(self, tfe: Any, x: Any, number: np.ndarray, first: bool) -> Any:  # noqa: ARG002
        return times(tfe, x, 1 / number)

    def takes(self, given: int) -> bool:
        if given != 2 or self.number is None:  # noqa: PLR2004 - likewise
            return False
        divisor, first = self.number
        return not first and bool((divisor != 0).all())


class Divide(TrueDivide):
    """The operand divided by numbers."""


class Negative(LayerType):
    """The operand with the other sign."""

    def lower(self, _tfe: Any, x: Any, /) -> Any:
        return x * -1.0


# what TensorFlow calls them
FUNCTIONS: dict[str, type[LayerType]] = {
    "__operators__.add": Add,
    "math.add": Add,
    "math.subtract": Subtract,
    "math.multiply": Multiply,
    "math.truediv": TrueDivide,
    "math.divide": TrueDivide,
    "math.negative": Negative,
}
# what they call their operands
NAMES = {"x": FIRST, "y": SECOND}


class TFOpLambda(LayerType):
    """An operation of TensorFlow between values, or of a value and numbers."""

    settings: ClassVar = {
        "function": only(*FUNCTIONS, advice="use layers of Keras: Rescaling for x / 255, Add, ...")
    }
    operands: ClassVar = None

    def meant(self) -> LayerType:
        if self.layer.config.get("function") not in FUNCTIONS:
            return self
        config = {key: value for key, value in self.layer.config.items() if key != "function"}
        given = {NAMES.get(k, k): v for k, v in self.layer.arguments.items() if k != "name"}
        layer = replace(self.layer, config=config, arguments=given)
        return FUNCTIONS[self["function"]](layer, keras=self.keras, backend=self.backend)
