"""Batch normalisation: at inference each channel is multiplied by a number, and another is added.

It joins the product before it, or else the one after it, and then costs nothing. Where there is
neither it is a product of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from securemodel_share.errors import Finding, Reason

from .base import LayerType, training
from .images import channels_first, channels_last, image_shape
from .settings import Setting, flag, only, shown

if TYPE_CHECKING:
    from securemodel_share.model import Layer, Model

    from .base import Shape

PRODUCTS = ("Conv2D", "Dense")
# what a factor of each channel may pass: linear, and the same for each value of a channel
BETWEEN = ("AveragePooling2D", "Dropout")
LINEAR = ("linear", None)
VECTOR = 2  # axes of a batch of vectors


def _axis(value: Any) -> Any:
    """Keras 2 writes a list of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _number(default: float) -> Setting:
    return Setting(
        understands=lambda value: isinstance(value, (int, float)) and value > 0,
        says="a number above 0",
        default=default,
        problem=lambda key, value: f"has {key} {shown(value)}",
        advice=lambda _: "save the model again",
    )


class BatchNormalization(LayerType):
    """A normalisation of each channel, by the statistics of training."""

    settings: ClassVar = {
        "axis": Setting(
            understands=lambda value: isinstance(_axis(value), int),
            says="the last",
            default=-1,
            problem=lambda key, value: f"has {key} {shown(value)}",
            advice=lambda _: "normalise the last axis, that of the channels",
            read=_axis,
        ),
        "epsilon": _number(0.001),
        "center": flag(default=True),
        "scale": flag(default=True),
        "renorm": only(False, None, advice="build the layer without renorm"),
        "virtual_batch_size": only(None, advice="build the layer without it"),
    }
    ignored: ClassVar = training("gamma", "beta") | {
        "moving_mean_initializer": "where training began",
        "moving_variance_initializer": "where training began",
        "momentum": "how training counted its statistics",
        "synchronized": "how training counted its statistics",
        "renorm_clipping": "used with renorm alone",
        "renorm_momentum": "used with renorm alone",
        "fused": "how Keras computes it",
    }

    def weights(self) -> dict[str, Shape]:
        names = ["moving_mean", "moving_variance"]
        names += ["gamma"] * self["scale"] + ["beta"] * self["center"]
        mean = self.layer.weights.get("moving_mean")
        channels = mean.size if mean is not None else None
        return dict.fromkeys(names, (channels,))

    def findings(self, backend: str) -> list[Finding]:
        found = super().findings(backend)
        if not found and (self.layer.weights["moving_variance"] < 0).any():
            problem, advice = "has a variance below 0", "train the model again"
            found.append(self.finding(problem, advice, Reason.WEIGHTS_OUT_OF_RANGE))
        return found

    @property
    def folded(self) -> bool:
        """Whether a product has taken over what this layer computes (`fold`)."""
        return set(self.layer.weights) == {"moving_mean"}

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """The factor and the addend of each channel."""
        stored = self.layer.weights
        factor = 1 / np.sqrt(stored["moving_variance"] + self["epsilon"])
        factor = factor * stored["gamma"] if self["scale"] else factor
        addend = -stored["moving_mean"] * factor
        return factor, addend + stored["beta"] if self["center"] else addend

    def lower(self, tfe: Any, x: Any, /) -> Any:
        if self["axis"] not in (-1, len(x.shape) - 1):
            raise ValueError(f"it normalises axis {self['axis']}, not the last")
        channels = len(self.layer.weights["moving_mean"])
        if int(x.shape[-1]) != channels:
            raise ValueError(f"it normalises {channels} channels")
        if self.folded:
            return x
        factor, addend = self.affine()
        if len(x.shape) == VECTOR:
            y = tfe.matmul(x, tfe.define_private_variable(np.diag(factor)))
            return y + tfe.define_private_variable(addend)
        image_shape(x)
        kernel = tfe.define_private_variable(np.diag(factor)[np.newaxis, np.newaxis])
        y = tfe.conv2d(channels_first(tfe, x), kernel, (1, 1), "VALID")
        return channels_last(tfe, y + tfe.define_private_variable(addend.reshape(-1, 1, 1)))


def fold(model: Model) -> Model:
    """Every normalisation in the weights of a product, where there is one; it then keeps its mean,
    for the number of channels. Which product it is depends on the architecture alone.
    """
    layers = {layer.name: layer for layer in model.layers}
    for layer in model.layers:
        if layer.kind == "BatchNormalization":
            layers |= _folded(layer, layers)
    return replace(model, layers=tuple(layers.values()))


def _folded(layer: Layer, layers: dict[str, Layer]) -> dict[str, Layer]:
    """The normalisation without what it computes, and the product with it; nothing if it stays."""
    factor, addend = BatchNormalization(layer).affine()
    before, after = _before(layer, layers), _after(layer, layers)
    if before is not None and before.weights["kernel"].shape[-1] == len(factor):
        product = _then(before, factor, addend)
    elif after is not None and after.weights["kernel"].shape[-2] % len(factor) == 0:
        product = _first(after, factor, addend)
    else:
        return {}
    rest = replace(layer, weights={"moving_mean": layer.weights["moving_mean"]})
    return {layer.name: rest, product.name: product}


def _before(layer: Layer, layers: dict[str, Layer]) -> Layer | None:
    """The product that reaches this layer unchanged but by what a factor may pass."""
    while len(layer.inputs) == 1:
        layer = layers[layer.inputs[0]]
        if len(_readers(layer, layers)) > 1:
            return None
        if layer.kind in PRODUCTS and layer.config.get("activation", "linear") in LINEAR:
            return layer
        if layer.kind not in BETWEEN:
            return None
    return None


def _after(layer: Layer, layers: dict[str, Layer]) -> Layer | None:
    """The product that this layer reaches in the same way; it may be flattened before."""
    while len(readers := _readers(layer, layers)) == 1:
        layer = readers[0]
        if layer.kind in PRODUCTS:
            return layer
        if layer.kind not in (*BETWEEN, "Flatten"):
            return None
    return None


def _readers(layer: Layer, layers: dict[str, Layer]) -> list[Layer]:
    return [other for other in layers.values() if layer.name in other.inputs]


def _then(product: Layer, factor: np.ndarray, addend: np.ndarray) -> Layer:
    """(x * w + b) * factor + addend, as a product."""
    bias = product.weights.get("bias", 0.0) * factor + addend
    return _having(product, product.weights["kernel"] * factor, bias)


def _first(product: Layer, factor: np.ndarray, addend: np.ndarray) -> Layer:
    """(x * factor + addend) * w + b, as a product. Flattened, the channels repeat."""
    kernel = product.weights["kernel"]
    channels = kernel.shape[-2]
    factors, addends = (np.resize(value, channels)[:, np.newaxis] for value in (factor, addend))
    added = (kernel * addends).reshape(-1, kernel.shape[-1]).sum(axis=0)
    return _having(product, kernel * factors, product.weights.get("bias", 0.0) + added)


def _having(product: Layer, kernel: np.ndarray, bias: np.ndarray) -> Layer:
    config = {**product.config, "use_bias": True}
    return replace(product, config=config, weights={"kernel": kernel, "bias": bias})
