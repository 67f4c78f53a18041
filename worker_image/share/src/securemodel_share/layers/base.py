"""What every layer declares, and the checks that follow from it.

To add a layer: one subclass of LayerType, named as Keras names its class, in the file of its
family. It states every key of its configuration, either with the values that are understood
(`settings`) or with the reason why it may say anything (`ignored`), its weights and their shapes,
and how it is computed with `tfe.*`. What it does not state is refused by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from securemodel_share.errors import Finding, Reason

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
    """A class of Keras layers. An instance looks at one layer of a model."""

    settings: ClassVar[Mapping[str, Setting]] = {}
    ignored: ClassVar[Mapping[str, str]] = {}
    # Theano turns kernels of convolutions by 180 degrees; other weights are the same in any backend
    backends: ClassVar[tuple[str, ...]] = (*BACKENDS, "theano")

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def __init_subclass__(cls) -> None:
        LAYERS[cls.__name__] = cls

    def __getitem__(self, key: str) -> Any:
        """What the configuration says of a key in `settings`."""
        setting = self.settings[key]
        return setting.read(self.layer.config.get(key, setting.default))

    def weights(self) -> dict[str, Shape]:
        """The weights that the layer has, with their shapes."""
        return {}

    def lower(self, tfe: Any, x: Any, /) -> Any:
        """The layer, without its activation, of a private tensor (B, ...row), through `tfe.*`.

        Raises:
            ValueError: it does not fit the shape of x.
        """
        raise NotImplementedError

    def findings(self, backend: str) -> list[Finding]:
        """Everything about this layer that is not understood."""
        found = [*self._configuration(), *self._arguments(), *self._backend(backend)]
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
            setting = ARGUMENTS.get(key)
            if setting is None:
                problem = f"is called with {key}={shown(value)}, which is not understood"
                yield self.finding(problem, "call it without")
            elif not setting.understands(value):
                problem = f"is called with {key}={shown(value)}"
                yield self.finding(problem, setting.advice(value))

    def _backend(self, backend: str) -> Iterator[Finding]:
        if self.layer.weights and backend not in self.backends:
            yield self.finding(
                f"was saved with the backend {backend!r}, which may store its weights otherwise",
                "load the model in Keras 2 with the backend TensorFlow and save it again",
            )

    def _weights(self) -> Iterator[Finding]:
        stated, stored = self.weights(), self.layer.weights
        for name, shape in stated.items():
            if name not in stored or not _fits(stored[name].shape, shape):
                form = tuple("any" if d is None else d for d in shape)
                was = f", but {stored[name].shape}" if name in stored else ""
                problem = f"has no {name} of shape ({', '.join(map(str, form))}) in the file{was}"
                yield self.finding(problem, SAVE_WHOLE, Reason.INVALID_MODEL)
        for name, value in stored.items():
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
