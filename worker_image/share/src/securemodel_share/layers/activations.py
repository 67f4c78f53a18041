"""Functions of single values: layers of their own, and `activation=` of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .base import LayerType
from .settings import Setting, only, shown

FUNCTIONS: dict[str | None, Callable[[Any, Any], Any]] = {
    "linear": lambda _tfe, x: x,
    None: lambda _tfe, x: x,
    "relu": lambda tfe, x: tfe.relu(x),
}


def _advice(value: Any) -> str:
    if value == "softmax":
        return "export the model without it, ending in logits, and apply it to the prediction"
    return "only 'relu' and 'linear' are supported"


ACTIVATION = Setting(
    understands=lambda value: value is None or (isinstance(value, str) and value in FUNCTIONS),
    says=" or ".join(repr(name) for name in FUNCTIONS if name),
    default="linear",
    problem=lambda key, value: f"has {key} {shown(value)}",
    advice=_advice,
)
PLAIN = "only the plain ReLU is supported"


class Activation(LayerType):
    """Its activation is all there is to it."""

    settings: ClassVar = {"activation": ACTIVATION}

    def lower(self, _tfe: Any, x: Any, /) -> Any:
        return x


class ReLU(LayerType):
    """The larger of x and 0."""

    settings: ClassVar = {
        "max_value": only(None, advice=PLAIN),
        "negative_slope": only(0, None, advice=PLAIN),
        "threshold": only(0, None, advice=PLAIN),
    }

    def lower(self, tfe: Any, x: Any, /) -> Any:
        return tfe.relu(x)


def _is_slope(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= 1


SLOPE = Setting(
    understands=lambda value: value is None or _is_slope(value),
    says="from 0 to 1",
    default=None,
    advice=lambda _: "only slopes from 0 to 1 are supported",
)
# Keras's own, where the file says none
DEFAULT_SLOPE = 0.3
# less than this is less than fixed point can tell from nothing
SMALLEST = 2.0**-24


class LeakyReLU(LayerType):
    """x if it is positive, else `alpha` (Keras 2) or `negative_slope` (Keras 3) times x."""

    settings: ClassVar = {"alpha": SLOPE, "negative_slope": SLOPE}

    def lower(self, tfe: Any, x: Any, /) -> Any:
        stated = (self["negative_slope"], self["alpha"])
        slope = next((value for value in stated if value is not None), DEFAULT_SLOPE)
        if slope < SMALLEST:
            return tfe.relu(x)
        if 1 - slope < SMALLEST:
            return x
        # the scaled ReLU's truncation and comparison are one instruction
        return tfe.relu(x * (1 - slope)) + x * slope
