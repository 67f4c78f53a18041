"""Operations of TensorFlow between layers, as Keras 2 writes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from .activations import Relu, Relu6, Sigmoid, Softmax, Tanh
from .arithmetic import FIRST, SECOND, Add, Multiply, Negative, Subtract, TrueDivide
from .base import LayerType
from .settings import Setting, shown

if TYPE_CHECKING:
    from securemodel_share.errors import Finding

FUNCTIONS: dict[str, type[LayerType]] = {
    "__operators__.add": Add,
    "math.add": Add,
    "math.subtract": Subtract,
    "math.multiply": Multiply,
    "math.truediv": TrueDivide,
    "math.divide": TrueDivide,
    "math.negative": Negative,
    "math.sigmoid": Sigmoid,
    "math.tanh": Tanh,
    "nn.relu": Relu,
    "nn.relu6": Relu6,
    "nn.softmax": Softmax,
}
# what they call their operands
OPERANDS = {"x": FIRST, "y": SECOND}


class TFOpLambda(LayerType):
    """An operation of TensorFlow, between values or of a value and numbers."""

    settings: ClassVar = {
        "function": Setting(
            understands=lambda value: isinstance(value, str) and value in FUNCTIONS,
            says=", ".join(map(repr, FUNCTIONS)),
            problem=lambda key, value: f"has {key} {shown(value)}",
            advice=lambda _: "use a layer of Keras for it: Rescaling, Concatenate, Cropping2D, ...",
        )
    }
    operands: ClassVar = None

    def findings(self) -> list[Finding]:
        """Of a function that is not known, whose arguments are not known either."""
        return [*self._configuration()]

    def meant(self) -> LayerType:
        """The layer that computes the same."""
        found = self.layer.config.get("function")
        if not isinstance(found, str) or found not in FUNCTIONS:
            return self
        kind = FUNCTIONS[found]
        config: dict[str, Any] = {k: v for k, v in self.layer.config.items() if k != "function"}
        arguments: dict[str, Any] = {}
        for key, value in self.layer.arguments.items():
            if key in kind.settings:
                config[key] = value
            elif key != "name":
                arguments[OPERANDS.get(key, key)] = value
        layer = replace(self.layer, config=config, arguments=arguments)
        return kind(layer, keras=self.keras, backend=self.backend)
