"""Layers that put values elsewhere, and compute nothing or next to nothing."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from .base import LayerType
from .images import (
    DATA_FORMAT,
    HEIGHT,
    LAYOUTS,
    WIDTH,
    Spatial,
    channels_last,
    check_axis,
    image_size,
    select,
    zeros,
)
from .settings import count, margins, only, shape, sizes


class Flatten(LayerType):
    """All axes of a row in one, row-major."""

    settings: ClassVar = {"data_format": DATA_FORMAT}
    moves: ClassVar = True

    def lower(self, tfe: Any, x: Any, /) -> Any:
        if self["data_format"] == LAYOUTS[1] and len(x.shape) > 2:  # noqa: PLR2004 - batch, values
            x = channels_last(tfe, x)
        return tfe.reshape(x, [int(x.shape[0]), math.prod(int(d) for d in x.shape[1:])])


class Reshape(LayerType):
    """A row in another shape, row-major."""

    settings: ClassVar = {"target_shape": shape(-1)}
    moves: ClassVar = True

    def lower(self, tfe: Any, x: Any, /) -> Any:
        size, to = math.prod(int(d) for d in x.shape[1:]), list(self["target_shape"])
        known = math.prod(d for d in to if d != -1)
        to = [size // known if d == -1 else d for d in to]
        if math.prod(to) != size:
            raise ValueError(f"it makes {self['target_shape']} of it")
        return tfe.reshape(x, [int(x.shape[0]), *to])


class Permute(LayerType):
    """The axes of a row in another order."""

    settings: ClassVar = {"dims": shape()}
    moves: ClassVar = True

    def lower(self, tfe: Any, x: Any, /) -> Any:
        if sorted(self["dims"]) != list(range(1, len(x.shape))):
            raise ValueError(f"it orders the axes {self['dims']}")
        return tfe.transpose(x, [0, *self["dims"]])


class RepeatVector(LayerType):
    """A vector `n` times."""

    settings: ClassVar = {"n": count()}
    moves: ClassVar = True

    def lower(self, tfe: Any, x: Any, /) -> Any:
        if len(x.shape) != 2:  # noqa: PLR2004 - batch, values
            raise ValueError("it takes vectors")
        check_axis(self["n"])
        batch, values = (int(d) for d in x.shape)
        return select(tfe, tfe.reshape(x, [batch, 1, values]), 1, [0] * self["n"])


class Padding(Spatial, of_keras=False):
    """Zeros around."""

    def of_image(self, tfe: Any, x: Any) -> Any:
        return zeros(tfe, x, _both(self["padding"]))


class Cropping(Spatial, of_keras=False):
    """Without what is around."""

    moves: ClassVar = True

    def of_image(self, tfe: Any, x: Any) -> Any:
        for axis, (before, after) in zip((HEIGHT, WIDTH), _both(self["cropping"]), strict=True):
            kept = range(before, int(x.shape[axis]) - after)
            if not kept:
                raise ValueError(f"it crops {self['cropping']}")
            x = select(tfe, x, axis, list(kept))
        return x


def _both(around: tuple[Any, ...]) -> tuple[Any, Any]:
    """Around the height and the width; a sequence has no height."""
    *height, width = around
    return (height or [(0, 0)])[0], width


class ZeroPadding1D(Padding):
    """Zeros before and after a sequence."""

    axes: ClassVar = 1
    settings: ClassVar = Padding.settings | {"padding": margins(1, 1)}


class ZeroPadding2D(Padding):
    """Zeros around images."""

    axes: ClassVar = 2
    settings: ClassVar = Padding.settings | {"padding": margins(2, 1)}


class Cropping1D(Cropping):
    """A sequence without its ends."""

    axes: ClassVar = 1
    settings: ClassVar = Cropping.settings | {"cropping": margins(1, 1)}


class Cropping2D(Cropping):
    """Images without their margins."""

    axes: ClassVar = 2
    settings: ClassVar = Cropping.settings | {"cropping": margins(2, 0)}


class UpSampling(Spatial, of_keras=False):
    """Larger."""

    def of_image(self, tfe: Any, x: Any) -> Any:
        for axis, times in zip((HEIGHT, WIDTH), self.pair("size"), strict=True):
            size = int(x.shape[axis])
            check_axis(size * times)
            x = select(tfe, x, axis, [at // times for at in range(size * times)])
        return x


class UpSampling1D(UpSampling):
    """Each step of a sequence several times."""

    axes: ClassVar = 1
    settings: ClassVar = UpSampling.settings | {"size": sizes(1, 2)}


class UpSampling2D(UpSampling):
    """Each pixel several times, or what lies between them by lines."""

    axes: ClassVar = 2
    settings: ClassVar = UpSampling.settings | {
        "size": sizes(2, 2),
        "interpolation": only(
            "nearest", "bilinear", advice="use 'nearest' or 'bilinear', or a Conv2DTranspose"
        ),
    }

    def of_image(self, tfe: Any, x: Any) -> Any:
        if self["interpolation"] == "nearest":
            return super().of_image(tfe, x)
        for size, times in zip(image_size(x), self.pair("size"), strict=True):
            check_axis(size * times)
            # along the height; then turned, along what was the width, and turned back
            x = tfe.transpose(x, [0, 1, 3, 2])
            if times > 1:
                between = _between(size, times)
                x = tfe.matmul(x, tfe.define_private_variable(between))
        return x


def _between(size: int, times: int) -> np.ndarray:
    """(size, size * times): what each of the new pixels has of each old one. Both cover the same
    length; beyond the middles of the outermost pixels there is nothing new.
    """
    at = np.clip((np.arange(size * times) + 0.5) / times - 0.5, 0, size - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(np.arange(size)[:, np.newaxis] - at)))
