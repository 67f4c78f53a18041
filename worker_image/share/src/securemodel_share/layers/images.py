"""Layers of images, (height, width, channels), and of sequences, (steps, channels), which are
images of height 1 here. TF Encrypted has channels first; so has Keras where it is told to.
"""

from __future__ import annotations

from typing import Any, ClassVar

from .base import LayerType
from .settings import Setting, only

Pair = tuple[int, int]

LAYOUTS = ("channels_last", "channels_first")
DATA_FORMAT = only(LAYOUTS[0], LAYOUTS[1], None, advice="say 'channels_last' or 'channels_first'")
HEIGHT, WIDTH = 2, 3  # axes of (B, C, H, W)
FORMS = {1: "sequences, (steps, channels)", 2: "images, (height, width, channels)"}


class Spatial(LayerType, of_keras=False):
    """A layer of images or sequences: `axes` is 2 or 1."""

    axes: ClassVar[int]
    settings: ClassVar[dict[str, Setting]] = {"data_format": DATA_FORMAT}

    def of_image(self, tfe: Any, x: Any) -> Any:
        """What the layer computes of images, TF Encrypted's (B, C, H, W)."""
        raise NotImplementedError

    def lower(self, tfe: Any, x: Any, /) -> Any:
        return self.leave(tfe, self.of_image(tfe, self.enter(tfe, x)))

    def pair(self, key: str) -> Pair:
        """A size or stride, of height and width."""
        *height, width = self[key]
        return (height or [1])[0], width

    def enter(self, tfe: Any, x: Any) -> Any:
        """The layer's operand as images (B, C, H, W)."""
        if len(x.shape) != self.axes + 2:
            raise ValueError(f"it takes {FORMS[self.axes]}")
        x = channels_last(tfe, x) if self.channels_first else x
        if self.axes == 1:
            batch, steps, channels = (int(d) for d in x.shape)
            x = tfe.reshape(x, [batch, 1, steps, channels])
        return channels_first(tfe, x)

    def leave(self, tfe: Any, y: Any) -> Any:
        """Images (B, C, H, W) as the layer's result."""
        y = channels_last(tfe, y)
        if self.axes == 1:
            batch, _, steps, channels = (int(d) for d in y.shape)
            y = tfe.reshape(y, [batch, steps, channels])
        return channels_first(tfe, y) if self.channels_first else y

    @property
    def channels_first(self) -> bool:
        """Whether the layer itself has the channels first."""
        return bool(self["data_format"] == LAYOUTS[1])


def channels_first(tfe: Any, x: Any) -> Any:
    """(B, ..., C) to (B, C, ...)."""
    last = len(x.shape) - 1
    return tfe.transpose(x, [0, last, *range(1, last)])


def channels_last(tfe: Any, x: Any) -> Any:
    """(B, C, ...) to (B, ..., C)."""
    return tfe.transpose(x, [0, *range(2, len(x.shape)), 1])


def image_size(x: Any) -> Pair:
    """Height and width of (B, C, H, W)."""
    return int(x.shape[HEIGHT]), int(x.shape[WIDTH])


def same(x: Any, window: Pair, strides: Pair) -> tuple[Pair, Pair]:
    """What Keras puts before and after the height and the width, if the padding is 'same'."""
    height, width = (_same(*of) for of in zip(image_size(x), window, strides, strict=True))
    return height, width


def _same(size: int, window: int, stride: int) -> Pair:
    steps = -(-size // stride)
    total = max((steps - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def zeros(tfe: Any, x: Any, before_and_after: tuple[Pair, Pair]) -> Any:
    """Zeros around images."""
    if before_and_after == ((0, 0), (0, 0)):
        return x
    for size, around in zip(image_size(x), before_and_after, strict=True):
        check_axis(size + sum(around))
    return tfe.pad(x, [[0, 0], [0, 0], *map(list, before_and_after)])


# of an axis; a model that says more is no model
LONGEST = 1 << 20


def check_axis(size: int) -> None:
    """Raises ValueError before an axis is made that is longer than any model needs."""
    if size > LONGEST:
        raise ValueError(f"an axis would be {size} long, {LONGEST} is the most")


def select(tfe: Any, x: Any, axis: int, indices: list[int]) -> Any:
    """These elements along one axis of a tensor; -1: zeros."""
    if indices == list(range(int(x.shape[axis]))):
        return x
    return tfe.gather(x, indices, axis)


def check_window(x: Any, window: Pair, what: str) -> None:
    """Raises ValueError if a window does not fit images."""
    if any(size < of for size, of in zip(image_size(x), window, strict=True)):
        raise ValueError(what)
