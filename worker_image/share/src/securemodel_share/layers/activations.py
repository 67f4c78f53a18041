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
