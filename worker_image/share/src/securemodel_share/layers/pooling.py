"""Layers that make one value of the values in a window."""

from __future__ import annotations

from typing import Any, ClassVar

from .base import LayerType
from .images import CHANNELS_LAST, VALID, channels_first, channels_last, image_shape
from .settings import optional_pair, pair

WINDOWS = {
    "pool_size": pair(2),
    "strides": optional_pair(),
    "padding": VALID,
    "data_format": CHANNELS_LAST,
}


class AveragePooling2D(LayerType):
    """The mean of each window, valid."""

    settings: ClassVar = WINDOWS

    def lower(self, tfe: Any, x: Any, /) -> Any:
        window, strides = _windows(self, x)
        return channels_last(tfe, tfe.avgpool2d(channels_first(tfe, x), window, strides, "VALID"))


class MaxPooling2D(LayerType):
    """The largest value of each window, valid."""

    settings: ClassVar = WINDOWS

    def lower(self, tfe: Any, x: Any, /) -> Any:
        window, strides = _windows(self, x)
        return channels_last(tfe, tfe.maxpool2d(channels_first(tfe, x), window, strides, "VALID"))


def _windows(pooling: LayerType, x: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """The window and the strides of a pooling that fits x."""
    window = pooling["pool_size"]
    height, width, _ = image_shape(x)
    if height < window[0] or width < window[1]:
        raise ValueError(f"its window is {window}")
    return window, pooling["strides"] or window
