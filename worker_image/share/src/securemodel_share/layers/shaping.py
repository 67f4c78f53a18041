"""Layers that compute nothing at inference."""

from __future__ import annotations

from typing import Any, ClassVar

from .base import LayerType
from .images import CHANNELS_LAST
from .settings import only


class InputLayer(LayerType):
    """The model's input."""

    settings: ClassVar = {
        "sparse": only(False, None, advice="give the model a dense Input"),
        "ragged": only(False, None, advice="give the model an Input of fixed size"),
        "optional": only(False, None, advice="give the model an Input that is always there"),
    }
    ignored: ClassVar = {"batch_shape": "read as the model's input shape"}

    def lower(self, _tfe: Any, x: Any, /) -> Any:
        return x


class Dropout(LayerType):
    """Nothing at inference."""

    ignored: ClassVar = {
        "rate": "training alone drops values",
        "noise_shape": "training alone drops values",
        "seed": "training alone drops values",
    }

    def lower(self, _tfe: Any, x: Any, /) -> Any:
        return x


class Flatten(LayerType):
    """All axes of a row in one, row-major."""

    settings: ClassVar = {"data_format": CHANNELS_LAST}

    def lower(self, tfe: Any, x: Any, /) -> Any:
        return tfe.reshape(x, [int(x.shape[0]), -1])
