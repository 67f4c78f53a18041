"""Convolutions (cross-correlations) of images and of sequences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .activations import Activated
from .base import BACKENDS, training
from .images import (
    HEIGHT,
    WIDTH,
    Pair,
    Spatial,
    check_axis,
    check_window,
    image_size,
    same,
    select,
    zeros,
)
from .linear import NOT_QUANTISED
from .settings import Setting, count, flag, only, optional, sizes

if TYPE_CHECKING:
    from .base import Shape

NO_PADDING = ((0, 0), (0, 0))


def _padding(*values: str) -> Setting:
    return only(*values, advice=f"say {' or '.join(map(repr, values))}")


def _sizes(axes: int) -> dict[str, Setting]:
    return {
        "kernel_size": sizes(axes),
        "strides": sizes(axes, 1),
        "dilation_rate": sizes(axes, 1),
    }


class Convolution(Activated, Spatial, of_keras=False):
    """What convolutions have in common. `kernels`: weights before the bias."""

    settings: ClassVar = (
        Activated.settings
        | Spatial.settings
        | {
            "padding": _padding("valid", "same"),
            "use_bias": flag(default=True),
            "quantization_config": NOT_QUANTISED,
        }
    )
    backends: ClassVar = BACKENDS

    def kernels(self) -> dict[str, Shape]:
        raise NotImplementedError

    @property
    def channels(self) -> int | None:
        """How many the result has; None if the operand decides that."""
        return int(self["filters"])

    def weights(self) -> dict[str, Shape]:
        return self.kernels() | ({"bias": (self.channels,)} if self["use_bias"] else {})

    def convolve(self, tfe: Any, x: Any, kernel: np.ndarray, groups: int) -> Any:
        """x (B, C, H, W) and a kernel (kh, kw, C / groups, O), by the layer's own strides, dilation
        and padding.
        """
        strides, dilation = self.pair("strides"), self.pair("dilation_rate")
        window = _span(kernel, dilation)
        x = zeros(tfe, x, self._margins(x, window, strides))
        if int(x.shape[1]) != kernel.shape[2] * groups:
            raise ValueError(f"its kernel is {self._stored_shape()}")
        check_window(x, window, f"its kernel is {self._stored_shape()}")
        return convolution(tfe, x, kernel, strides=strides, dilations=dilation, groups=groups)

    def biased(self, tfe: Any, y: Any) -> Any:
        if not self["use_bias"]:
            return y
        return y + tfe.define_private_variable(self.stored["bias"].reshape(-1, 1, 1))

    def _margins(self, x: Any, window: Pair, strides: Pair) -> tuple[Pair, Pair]:
        padding = self["padding"]
        if padding == "causal":
            return (0, 0), (window[1] - 1, 0)
        return same(x, window, strides) if padding == "same" else NO_PADDING

    def _stored_shape(self) -> tuple[int, ...]:
        return self.stored[next(iter(self.kernels()))].shape


def _span(kernel: np.ndarray, dilation: Pair) -> Pair:
    """From the first to the last pixel that a kernel sees."""
    height, width = ((n - 1) * d + 1 for n, d in zip(kernel.shape, dilation, strict=False))
    return height, width


def convolution(
    tfe: Any, x: Any, kernel: np.ndarray, *, strides: Pair = (1, 1), **more: Any
) -> Any:
    """TF Encrypted's convolution; `more` than it has is said only where it matters."""
    plain = {"dilations": (1, 1), "groups": 1}
    said = {key: value for key, value in more.items() if value != plain[key]}
    return tfe.conv2d(x, tfe.define_private_variable(kernel), strides, "VALID", **said)


class Plain(Convolution, of_keras=False):
    """Every filter sees all channels of its group."""

    ignored: ClassVar = training("kernel", "bias")

    def kernels(self) -> dict[str, Shape]:
        return {"kernel": (*self["kernel_size"], None, self["filters"])}

    def of_image(self, tfe: Any, x: Any) -> Any:
        kernel = _of_images(self.stored["kernel"], self.axes)
        return self.biased(tfe, self.convolve(tfe, x, kernel, self["groups"]))


def _of_images(kernel: np.ndarray, axes: int) -> np.ndarray:
    """A kernel of a sequence as one of images of height 1."""
    return kernel[np.newaxis] if axes == 1 else kernel


class Conv1D(Plain):
    """A convolution of a sequence."""

    axes: ClassVar = 1
    settings: ClassVar = (
        Plain.settings
        | _sizes(1)
        | {"filters": count(), "groups": count(1), "padding": _padding("valid", "same", "causal")}
    )


class Conv2D(Plain):
    """A convolution of images."""

    axes: ClassVar = 2
    settings: ClassVar = Plain.settings | _sizes(2) | {"filters": count(), "groups": count(1)}


class Depthwise(Convolution, of_keras=False):
    """Every channel has filters of its own."""

    ignored: ClassVar = training("depthwise", "bias", "kernel")
    # Keras 2 called it so
    renamed: ClassVar = {"depthwise_kernel": "kernel"}

    @property
    def channels(self) -> int | None:
        kernel = self.stored.get("kernel")
        return None if kernel is None else math.prod(kernel.shape[self.axes :])

    def kernels(self) -> dict[str, Shape]:
        return {"kernel": (*self["kernel_size"], None, self["depth_multiplier"])}

    def of_image(self, tfe: Any, x: Any) -> Any:
        return self.biased(tfe, self.depthwise(tfe, x, self.stored["kernel"]))

    def depthwise(self, tfe: Any, x: Any, kernel: np.ndarray) -> Any:
        """Every channel by itself: filter m of channel c gives channel c * M + m."""
        kernel = _of_images(kernel, self.axes)
        height, width, channels, multiplier = kernel.shape
        kernel = kernel.reshape(height, width, 1, channels * multiplier)
        return self.convolve(tfe, x, kernel, channels)


# Keras 2 writes it of layers that have no groups
NO_GROUPS = {"groups": only(1, advice="build it without groups"), "depth_multiplier": count(1)}


class DepthwiseConv1D(Depthwise):
    """A convolution of each channel of a sequence by itself."""

    axes: ClassVar = 1
    settings: ClassVar = Depthwise.settings | _sizes(1) | NO_GROUPS


class DepthwiseConv2D(Depthwise):
    """A convolution of each channel of images by itself."""

    axes: ClassVar = 2
    settings: ClassVar = Depthwise.settings | _sizes(2) | NO_GROUPS


class Separable(Depthwise, of_keras=False):
    """Every channel by itself, then all channels of each pixel."""

    ignored: ClassVar = training("depthwise", "pointwise", "bias", "kernel")
    renamed: ClassVar = {}

    @property
    def channels(self) -> int | None:
        return int(self["filters"])

    def kernels(self) -> dict[str, Shape]:
        depthwise = self.stored.get("depthwise_kernel")
        between = None if depthwise is None else math.prod(depthwise.shape[self.axes :])
        return {
            "depthwise_kernel": (*self["kernel_size"], None, self["depth_multiplier"]),
            "pointwise_kernel": (*(1,) * self.axes, between, self["filters"]),
        }

    def of_image(self, tfe: Any, x: Any) -> Any:
        y = self.depthwise(tfe, x, self.stored["depthwise_kernel"])
        pointwise = _of_images(self.stored["pointwise_kernel"], self.axes)
        return self.biased(tfe, convolution(tfe, y, pointwise))


class SeparableConv1D(Separable):
    """A convolution of each channel of a sequence, then one of each step."""

    axes: ClassVar = 1
    settings: ClassVar = (
        Separable.settings
        | _sizes(1)
        | NO_GROUPS
        | {"filters": count(), "padding": _padding("valid", "same", "causal")}
    )


class SeparableConv2D(Separable):
    """A convolution of each channel of images, then one of each pixel."""

    axes: ClassVar = 2
    settings: ClassVar = Separable.settings | _sizes(2) | NO_GROUPS | {"filters": count()}


class Transposed(Convolution, of_keras=False):
    """The other way round: every value of the operand gives a window of the result."""

    ignored: ClassVar = training("kernel", "bias")

    def kernels(self) -> dict[str, Shape]:
        return {"kernel": (*self["kernel_size"], self["filters"], None)}

    def of_image(self, tfe: Any, x: Any) -> Any:
        kernel = _of_images(self.stored["kernel"], self.axes)
        if int(x.shape[1]) != kernel.shape[3]:
            raise ValueError(f"its kernel is {self._stored_shape()}")
        dilation = self.pair("dilation_rate")
        for axis, indices in zip((HEIGHT, WIDTH), self._spread(x, kernel, dilation), strict=True):
            x = select(tfe, x, axis, indices)
        turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
        return self.biased(tfe, convolution(tfe, x, turned, dilations=dilation))

    def _spread(self, x: Any, kernel: np.ndarray, dilation: Pair) -> tuple[list[int], list[int]]:
        """Along height and width: which values of x the turned kernel meets, -1 for zeros."""
        stated = self["output_padding"] or (None,) * self.axes
        more = (None,) * (2 - self.axes) + stated
        height, width = (
            _spread(*of, padding=self["padding"])
            for of in zip(
                image_size(x), self.pair("strides"), kernel.shape, dilation, more, strict=False
            )
        )
        return height, width


def _spread(
    size: int, stride: int, kernel: int, dilation: int, more: int | None, *, padding: str
) -> list[int]:
    """As Keras defines a transposed convolution: the gradient of the convolution that makes `size`
    values of `result`.
    """
    window = (kernel - 1) * dilation + 1
    last, cut = (size - 1) * stride, 0
    if padding == "same":
        result = last + (stride if more is None else window % 2 + more)
        cut = max(last + window - result, 0) // 2
    else:
        result = last + (max(window, stride) if more is None else window + more)
    check_axis(window + result)
    met = range(cut - window + 1, cut + result)
    return [at // stride if at % stride == 0 and 0 <= at <= last else -1 for at in met]


OUTPUT_PADDING = {"groups": NO_GROUPS["groups"]}


class Conv1DTranspose(Transposed):
    """A transposed convolution of a sequence."""

    axes: ClassVar = 1
    settings: ClassVar = (
        Transposed.settings
        | _sizes(1)
        | OUTPUT_PADDING
        | {"filters": count(), "output_padding": optional(sizes(1, least=0))}
    )


class Conv2DTranspose(Transposed):
    """A transposed convolution of images."""

    axes: ClassVar = 2
    settings: ClassVar = (
        Transposed.settings
        | _sizes(2)
        | OUTPUT_PADDING
        | {"filters": count(), "output_padding": optional(sizes(2, least=0))}
    )
