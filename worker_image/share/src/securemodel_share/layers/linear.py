"""Layers that multiply by weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .activations import ACTIVATION
from .base import BACKENDS, LayerType, training
from .images import CHANNELS_LAST, VALID, channels_first, channels_last, image_shape
from .settings import count, flag, only, pair

if TYPE_CHECKING:
    from .base import Shape

TRAINING = training("kernel", "bias")
NOT_QUANTISED = only(None, advice="save the model before it is quantised")


class Conv2D(LayerType):
    """A convolution (cross-correlation), valid."""

    settings: ClassVar = {
        "filters": count(),
        "kernel_size": pair(),
        "strides": pair(1),
        "padding": VALID,
        "data_format": CHANNELS_LAST,
        "dilation_rate": only(1, [1, 1], advice="build the model without dilation"),
        "groups": only(1, advice="build the model without groups"),
        "activation": ACTIVATION,
        "use_bias": flag(default=True),
        "quantization_config": NOT_QUANTISED,
    }
    ignored: ClassVar = TRAINING
    backends: ClassVar = BACKENDS

    def weights(self) -> dict[str, Shape]:
        kernel = (*self["kernel_size"], None, self["filters"])
        return {"kernel": kernel} | ({"bias": (self["filters"],)} if self["use_bias"] else {})

    def lower(self, tfe: Any, x: Any, /) -> Any:
        kernel = self.layer.weights["kernel"]
        height, width, channels = image_shape(x)
        if channels != kernel.shape[2] or height < kernel.shape[0] or width < kernel.shape[1]:
            raise ValueError(f"its kernel is {kernel.shape}")
        w = tfe.define_private_variable(kernel)
        y = tfe.conv2d(channels_first(tfe, x), w, self["strides"], "VALID")
        if self["use_bias"]:
            y = y + tfe.define_private_variable(self.layer.weights["bias"].reshape(-1, 1, 1))
        return channels_last(tfe, y)


class Dense(LayerType):
    """A matrix product on flattened input."""

    settings: ClassVar = {
        "units": count(),
        "activation": ACTIVATION,
        "use_bias": flag(default=True),
        "quantization_config": NOT_QUANTISED,
    }
    ignored: ClassVar = TRAINING

    def weights(self) -> dict[str, Shape]:
        kernel = (None, self["units"])
        return {"kernel": kernel} | ({"bias": (self["units"],)} if self["use_bias"] else {})

    def lower(self, tfe: Any, x: Any, /) -> Any:
        kernel = self.layer.weights["kernel"]
        if len(x.shape) != 2 or int(x.shape[1]) != kernel.shape[0]:  # noqa: PLR2004 - batch, values
            raise ValueError(f"its kernel is {kernel.shape}, put a Flatten before it")
        y = tfe.matmul(x, tfe.define_private_variable(kernel))
        if self["use_bias"]:
            y = y + tfe.define_private_variable(self.layer.weights["bias"])
        return y
