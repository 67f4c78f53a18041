"""Layers that make one value of the values in a window."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from .images import (
    HEIGHT,
    WIDTH,
    Pair,
    Spatial,
    channels_last,
    check_window,
    image_size,
    same,
    select,
    zeros,
)
from .settings import Setting, flag, only, optional, sizes

NONE = ((0, 0), (0, 0))


def _windows(axes: int) -> dict[str, Setting]:
    return Spatial.settings | {
        "pool_size": sizes(axes, 2),
        "strides": optional(sizes(axes)),
        "padding": only("valid", "same", advice="say 'valid' or 'same'"),
    }


class Pooling(Spatial, of_keras=False):
    """A window that moves."""

    def of_image(self, tfe: Any, x: Any) -> Any:
        window = self.pair("pool_size")
        strides = self.pair("strides") if self["strides"] else window
        around = same(x, window, strides) if self["padding"] == "same" else NONE
        if around == NONE:
            check_window(x, window, f"its window is {self['pool_size']}")
        return self.pool(tfe, x, window, strides, around)

    def pool(self, tfe: Any, x: Any, window: Pair, strides: Pair, around: tuple[Pair, Pair]) -> Any:
        """Of x (B, C, H, W), with windows that reach out of it so far, before and after."""
        raise NotImplementedError


class AveragePooling(Pooling, of_keras=False):
    """Its mean. Of windows that reach out, only what lies in the image counts."""

    def pool(self, tfe: Any, x: Any, window: Pair, strides: Pair, around: tuple[Pair, Pair]) -> Any:
        mean = tfe.avgpool2d(zeros(tfe, x, around), window, strides, "VALID")
        if around == NONE:
            return mean
        inside = [_inside(*of) for of in zip(image_size(x), window, strides, around, strict=True)]
        more = math.prod(window) / np.outer(*inside)
        return mean * tfe.define_private_variable(more[np.newaxis])


def _inside(size: int, window: int, stride: int, around: Pair) -> np.ndarray:
    """How many values of each window are not zeros around them."""
    before, after = around
    starts = np.arange(-before, size + after - window + 1, stride)
    return np.minimum(starts + window, size) - np.maximum(starts, 0)


class MaxPooling(Pooling, of_keras=False):
    """Its largest value. A window that reaches out sees the outermost value again, which it has
    seen.
    """

    def pool(self, tfe: Any, x: Any, window: Pair, strides: Pair, around: tuple[Pair, Pair]) -> Any:
        for axis, (before, after) in zip((HEIGHT, WIDTH), around, strict=True):
            last = int(x.shape[axis]) - 1
            x = select(
                tfe, x, axis, [min(max(at, 0), last) for at in range(-before, last + 1 + after)]
            )
        return tfe.maxpool2d(x, window, strides, "VALID")


class AveragePooling1D(AveragePooling):
    """The mean of each window of a sequence."""

    axes: ClassVar = 1
    settings: ClassVar = _windows(1)


class AveragePooling2D(AveragePooling):
    """The mean of each window of images."""

    axes: ClassVar = 2
    settings: ClassVar = _windows(2)


class MaxPooling1D(MaxPooling):
    """The largest value of each window of a sequence."""

    axes: ClassVar = 1
    settings: ClassVar = _windows(1)


class MaxPooling2D(MaxPooling):
    """The largest value of each window of images."""

    axes: ClassVar = 2
    settings: ClassVar = _windows(2)


class GlobalPooling(Spatial, of_keras=False):
    """One window."""

    settings: ClassVar = Spatial.settings | {"keepdims": flag(default=False)}

    def leave(self, tfe: Any, y: Any) -> Any:
        if self["keepdims"]:
            return super().leave(tfe, y)
        batch, channels = int(y.shape[0]), int(y.shape[1])
        return tfe.reshape(channels_last(tfe, y), [batch, channels])


class GlobalAverage(GlobalPooling, of_keras=False):
    """Its mean."""

    def of_image(self, tfe: Any, x: Any) -> Any:
        return tfe.avgpool2d(x, image_size(x), image_size(x), "VALID")


class GlobalMax(GlobalPooling, of_keras=False):
    """Its largest value."""

    def of_image(self, tfe: Any, x: Any) -> Any:
        return tfe.maxpool2d(x, image_size(x), image_size(x), "VALID")


class GlobalAveragePooling1D(GlobalAverage):
    """The mean of each channel of a sequence."""

    axes: ClassVar = 1


class GlobalAveragePooling2D(GlobalAverage):
    """The mean of each channel of images."""

    axes: ClassVar = 2


class GlobalMaxPooling1D(GlobalMax):
    """The largest value of each channel of a sequence."""

    axes: ClassVar = 1


class GlobalMaxPooling2D(GlobalMax):
    """The largest value of each channel of images."""

    axes: ClassVar = 2
