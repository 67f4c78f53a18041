"""Layers that are a function of values, and `activation=` of others, which may be such a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from securemodel_share.model import Layer

from .base import LAYERS, LayerType, training
from .functions import LINEAR, NAMED, OF_KERAS_2, Function, elu, named, relu, softmax
from .settings import Setting, axes, number, optional, shown

if TYPE_CHECKING:
    from securemodel_share.errors import Finding

    from .base import Shape

MODULES = ("keras", "tf_keras", "builtins")


def function(value: Any, keras: str = "") -> Function | None:
    """What a configuration means by its activation; None for what is not understood."""
    if value is None:
        return LINEAR
    if isinstance(value, str):
        return named(value, keras)
    if not isinstance(value, dict) or _is_custom(value):
        return None
    kind, config = value.get("class_name"), value.get("config")
    if kind == "function" and isinstance(config, str):
        return named(config, keras)
    return _of_layer(kind, config, keras) if isinstance(config, dict) else None


def _is_custom(value: dict[str, Any]) -> bool:
    """Whether it is not Keras's own, whatever it calls itself."""
    module = str(value.get("module") or "keras").split(".")[0]
    return module not in MODULES or value.get("registered_name") not in (
        None, "", "function", value.get("config"),
    )  # fmt: skip


def _of_layer(kind: Any, config: dict[str, Any], keras: str) -> Function | None:
    """A layer as an activation: one that is nothing but its function."""
    if not isinstance(kind, str) or kind not in LAYERS:
        return None
    layer = LAYERS[kind](Layer(kind=kind, name=str(config.get("name")), config=config), keras=keras)
    return layer.function if layer.passes and not layer.findings() else None


def _is_lambda(value: Any) -> bool:
    """Keras writes the code, in base64."""
    return isinstance(value, dict) and (
        value.get("class_name") == "__lambda__" or isinstance(value.get("value"), list)
    )


ACTIVATION = Setting(
    understands=lambda value: function(value) is not None,
    says="a [function](#functions)",
    default="linear",
    problem=lambda key, value: (
        f"has a lambda as {key}, which is code and is not run"
        if _is_lambda(value)
        else f"has {key} {shown(value)}"
    ),
    advice=lambda _: "use a function that docs/layers.md names, or a layer of its own for it",
)


class Activated(LayerType, of_keras=False):
    """A layer with an activation."""

    settings: ClassVar = {"activation": ACTIVATION}

    def findings(self) -> list[Finding]:
        found = super().findings()
        if not found and not self.keras and self.function.name in OF_KERAS_2:
            problem = (
                f"has activation {shown(self['activation'])}, which Keras 2 and Keras 3 compute "
                "differently, and the file does not say which of them wrote it"
            )
            found.append(self.finding(problem, "take the architecture from model.to_json()"))
        return found

    @property
    def function(self) -> Function:
        return function(self["activation"], self.keras) or LINEAR


class Activation(Activated):
    """Its activation is all there is to it."""

    passes: ClassVar = True


ABOVE_ZERO = "a number from 0"


def _from_zero(default: float = 0.0) -> Setting:
    return optional(
        number(ABOVE_ZERO, lambda value: value >= 0, default, "Keras takes none below 0")
    )


class ReLU(LayerType):
    """x above `threshold`, at most `max_value`; below, `negative_slope` times (x - threshold)."""

    settings: ClassVar = {
        "max_value": _from_zero(),
        "negative_slope": _from_zero(),
        "threshold": _from_zero(),
    }
    passes: ClassVar = True

    @property
    def function(self) -> Function:
        slope, threshold = self["negative_slope"] or 0.0, self["threshold"] or 0.0
        return relu(slope=slope, most=self["max_value"], threshold=threshold)


class ThresholdedReLU(LayerType):
    """x above `theta`, else 0."""

    settings: ClassVar = {
        "theta": number(ABOVE_ZERO, lambda v: v >= 0, 1.0, "Keras takes no other")
    }
    passes: ClassVar = True

    @property
    def function(self) -> Function:
        return relu(threshold=self["theta"])


SLOPE = optional(number("a number", lambda _: True, None, "write the slope as a number"))
# Keras's own, where the file says none
DEFAULT_SLOPE = 0.3


class LeakyReLU(LayerType):
    """x if it is positive, else `alpha` (Keras 2) or `negative_slope` (Keras 3) times x."""

    settings: ClassVar = {"alpha": SLOPE, "negative_slope": SLOPE}
    passes: ClassVar = True

    @property
    def function(self) -> Function:
        stated = (self["negative_slope"], self["alpha"])
        return relu(slope=next((v for v in stated if v is not None), DEFAULT_SLOPE))


class PReLU(LayerType):
    """x if it is positive, else a weight times x."""

    settings: ClassVar = {"shared_axes": optional(axes())}
    ignored: ClassVar = training("alpha")

    def weights(self) -> dict[str, Shape]:
        alpha = self.stored.get("alpha")
        return {"alpha": (None,) * (alpha.ndim if alpha is not None else 1)}

    def lower(self, tfe: Any, x: Any, /) -> Any:
        alpha, row = self.stored["alpha"], [int(d) for d in x.shape[1:]]
        shared = {axis % (len(row) + 1) for axis in self["shared_axes"] or ()}
        wanted = tuple(1 if i in shared else d for i, d in enumerate(row, start=1))
        if alpha.shape != wanted:
            raise ValueError(f"its alpha is {alpha.shape}, not {wanted}")
        positive = tfe.relu(x)
        return positive + (x - positive) * tfe.define_private_variable(alpha)


class ELU(LayerType):
    """x if it is positive, else `alpha` times (exp(x) - 1)."""

    settings: ClassVar = {
        "alpha": number("a number", lambda _: True, 1.0, "write alpha as a number")
    }
    passes: ClassVar = True

    @property
    def function(self) -> Function:
        return elu(self["alpha"])


class Operation(LayerType, of_keras=False):
    """A function between layers, as Keras 3 writes it."""

    passes: ClassVar = True
    named: ClassVar[str]

    @property
    def function(self) -> Function:
        return NAMED[self.named]


class Relu(Operation):
    """The larger of x and 0."""

    named: ClassVar = "relu"


class Relu6(Operation):
    """The larger of x and 0, at most 6."""

    named: ClassVar = "relu6"


class Sigmoid(Operation):
    """1 / (1 + exp(-x))."""

    named: ClassVar = "sigmoid"


class Tanh(Operation):
    """The hyperbolic tangent."""

    named: ClassVar = "tanh"


class Softmax(LayerType):
    """Softmax along one axis."""

    settings: ClassVar = {"axis": axes()}
    passes: ClassVar = True

    def findings(self) -> list[Finding]:
        found = super().findings()
        if not found and len(self["axis"]) > 1:
            problem = f"has axis {shown(self.layer.config['axis'])}"
            found.append(self.finding(problem, "take the softmax of one axis"))
        return found

    @property
    def function(self) -> Function:
        return softmax(self["axis"][0])
