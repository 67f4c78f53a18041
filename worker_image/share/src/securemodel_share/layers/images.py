"""Images: (height, width, channels) in Keras, channels first in TF Encrypted."""

from __future__ import annotations

from typing import Any

from .settings import only

CHANNELS_LAST = only(
    "channels_last", None, advice="build the model with 'channels_last', it is the layout here"
)
VALID = only("valid", advice="build the model with padding='valid'")


def channels_first(tfe: Any, x: Any) -> Any:
    """(B, H, W, C) to (B, C, H, W)."""
    return tfe.transpose(x, [0, 3, 1, 2])


def channels_last(tfe: Any, x: Any) -> Any:
    """(B, C, H, W) to (B, H, W, C)."""
    return tfe.transpose(x, [0, 2, 3, 1])


def image_shape(x: Any) -> tuple[int, int, int]:
    """Height, width and channels. Raises ValueError if x is no batch of images."""
    if len(x.shape) != 4:  # noqa: PLR2004 - batch, height, width, channels
        raise ValueError("it takes images, (height, width, channels)")
    height, width, channels = (int(d) for d in x.shape[1:])
    return height, width, channels
