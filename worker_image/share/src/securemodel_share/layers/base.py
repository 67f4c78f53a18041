"""What every layer declares, and the checks that follow from it.

To add a layer: one subclass of LayerType, named as Keras names its class, in the file of its
family. It states every key of its configuration, either with the values that are understood
(`settings`) or with the reason why it may say anything (`ignored`), its weights and their shapes,
how it is computed with `tfe.*`, and the function that follows (`functions.py`). What it does not
state is refused by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from securemodel_share.errors import Finding, Reason

from .functions import LINEAR, Function
from .settings import DTYPE, REQUIRED, Setting, only, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from securemodel_share.model import Layer

    # an axis that the input decides is None
    Shape = tuple[int | None, ...]

SEE_DOCS = "supported layers: docs/layers.md"
SAVE_WHOLE = "save the whole model, weights included"

# stated by every layer
COMMON: dict[str, Setting] = {"dtype": DTYPE}
COMMON_IGNORED = {
    "name": "what messages call the layer",
    "trainable": "a matter of training",
    "dynamic": "how TensorFlow runs it",
    "activity_regularizer": "a term of the loss in training",
    "batch_input_shape": "of the first layer it is the model's input; Keras reads no other",
}
# what any call may be given beside its tensors
ARGUMENTS: dict[str, Setting] = {
    "training": only(None, False, advice="call it without, which is inference"),
    "mask": only(None, advice="call it without a mask"),
}
# backends that store kernels as TensorFlow does; all others are refused
BACKENDS = ("tensorflow", "jax", "torch", "numpy", "openvino", "cntk")


def training(*weights: str) -> dict[str, str]:
    """The keys about these weights that are a matter of training."""
    return {
        f"{weight}_{what}": why
        for weight in weights
        for what, why in (
            ("initializer", "where training began"),
            ("regularizer", "a term of the loss in training"),
            ("constraint", "applied by training, the weights already meet it"),
        )
    }


class LayerType:
    """A class of Keras layers. An instance looks at one call of a layer of a model.

    `keras`, `backend`: the version of Keras and the backend that wrote the model.
    """

    settings: ClassVar[Mapping[str, Setting]] = {}
    ignored: ClassVar[Mapping[str, str]] = {}
    # what a call may be given beside its tensors, and what any call may
    arguments: ClassVar[Mapping[str, Setting]] = {}
    # how many values a call takes; None: any number from one
    operands: ClassVar[int | None] = 1
    # weights of the file that change nothing, with the reason
    ignored_weights: ClassVar[Mapping[str, str]] = {}
    # other names of weights, by what they are called here
    renamed: ClassVar[Mapping[str, str]] = {}
    # Theano turns kernels of convolutions by 180 degrees; other weights are the same in any backend
    backends: ClassVar[tuple[str, ...]] = (*BACKENDS, "theano")
    # before its function the layer changes nothing: at inference the result is the operand
    passes: ClassVar[bool] = False
    # it puts the operand's values elsewhere and computes nothing
    moves: ClassVar[bool] = False

    def __init__(self, layer: Layer, *, keras: str = "", backend: str = BACKENDS[0]) -> None:
        self.layer = layer
        self.keras = keras
        self.backend = backend
        self.stored = {self.renamed.get(k, k): value for k, value in layer.weights.items()}

    def __init_subclass__(cls, *, of_keras: bool = True) -> None:
        if of_keras:
            LAYERS[cls.__name__] = cls

    def meant(self) -> LayerType:
        """What stands for this layer: itself, but for a class with many meanings."""
        return self

    def __getitem__(self, key: str) -> Any:
        """What the configuration says of a key in `settings`."""
        setting = self.settings[key]
        return setting.read(self.layer.config.get(key, setting.default))

    def weights(self) -> dict[str, Shape]:
        """The weights that the layer has, with their shapes."""
        return {}

    @property
    def function(self) -> Function:
        """What is applied to each value of what `lower` gives."""
        return LINEAR

    def lower(self, _tfe: Any, x: Any, /) -> Any:
        """The layer, without its function, of a private tensor (B, ...row), through `tfe.*`; of all
        its operands, if it has several.

        Raises:
            ValueError: it does not fit the shape of x.
        """
        if self.passes:
            return x
        raise NotImplementedError

    def findings(self) -> list[Finding]:
        """Everything about this layer that is not understood."""
        found = [*self._operands(), *self._configuration(), *self._arguments(), *self._backend()]
        return found or [*self._weights()]

    def finding(
        self, problem: str, advice: str, reason: Reason = Reason.UNSUPPORTED_LAYER
    ) -> Finding:
        """A finding about this layer."""
        see = f"; {SEE_DOCS}" if reason == Reason.UNSUPPORTED_LAYER else ""
        return Finding(
            reason=reason,
            layer=self.layer.name,
            problem=f"{self.layer} {problem}",
            advice=advice + see,
        )

    def _operands(self) -> Iterator[Finding]:
        read = self.layer.inputs
        if self.operands == 1 and len(read) > 1:
            yield self.finding(
                f"reads {len(read)} values ({', '.join(map(repr, read))}) and computes one",
                "call it on one",
            )

    def _configuration(self) -> Iterator[Finding]:
        stated = {**COMMON, **self.settings}
        config = self.layer.config
        for key, setting in stated.items():
            value = config.get(key, setting.default)
            if value is REQUIRED:
                yield self.finding(f"has no {key} in the file", SAVE_WHOLE, Reason.INVALID_MODEL)
            elif not setting.understands(value):
                problem = setting.problem(key, value)
                yield self.finding(problem, setting.advice(value), setting.reason)
        known = {*stated, *COMMON_IGNORED, *self.ignored}
        for key in sorted(config.keys() - known):
            yield self.finding(
                f"has {key} {shown(config[key])}, which is not understood", "build it without"
            )

    def _arguments(self) -> Iterator[Finding]:
        for key, value in self.layer.arguments.items():
            setting = {**ARGUMENTS, **self.arguments}.get(key)
            if setting is None:
                problem = f"is called with {key}={shown(value)}, which is not understood"
                yield self.finding(problem, "call it without")
            elif not setting.understands(value):
                problem = f"is called with {key}={shown(value)}"
                yield self.finding(problem, setting.advice(value))

    def _backend(self) -> Iterator[Finding]:
        if self.layer.weights and self.backend not in self.backends:
            yield self.finding(
                f"was saved with the backend {self.backend!r}, which may store its weights "
                "otherwise",
                "load the model in Keras 2 with the backend TensorFlow and save it again",
            )

    def _weights(self) -> Iterator[Finding]:
        stated, stored = self.weights(), self.stored
        for name, shape in stated.items():
            if name not in stored or not _fits(stored[name].shape, shape):
                form = tuple("any" if d is None else d for d in shape)
                was = f", but {stored[name].shape}" if name in stored else ""
                problem = f"has no {name} of shape ({', '.join(map(str, form))}) in the file{was}"
                yield self.finding(problem, SAVE_WHOLE, Reason.INVALID_MODEL)
        for name, value in stored.items():
            if name in self.ignored_weights:
                continue
            if name not in stated:
                problem = f"has the weight {name!r}, which is not understood"
                yield self.finding(problem, "save the model without quantisation or adapters")
            elif value.dtype.kind != "f":
                problem = f"has a {name} of type {value.dtype}, not floating point"
                yield self.finding(problem, "save the model without quantisation")
            elif not np.isfinite(value).all():
                yield self.finding(
                    f"cannot be computed: its {name} holds NaN or infinite values",
                    "training has diverged: train again, with a smaller learning rate",
                    Reason.WEIGHTS_OUT_OF_RANGE,
                )


LAYERS: dict[str, type[LayerType]] = {}


def _fits(shape: tuple[int, ...], stated: Shape) -> bool:
    return len(shape) == len(stated) and all(
        found > 0 and wanted in (None, found) for found, wanted in zip(shape, stated, strict=True)
    )
