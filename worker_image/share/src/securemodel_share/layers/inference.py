"""Layers that compute nothing at inference."""

from __future__ import annotations

from typing import ClassVar

from .base import LayerType
from .settings import only

DROPS = "training alone drops values"
NOISE = "training alone adds noise"
LOSS = "a term of the loss in training"
AUGMENTS = "training alone changes images"


class InputLayer(LayerType):
    """The model's input."""

    settings: ClassVar = {
        "sparse": only(False, None, advice="give the model a dense Input"),
        "ragged": only(False, None, advice="give the model an Input of fixed size"),
        "optional": only(False, None, advice="give the model an Input that is always there"),
    }
    ignored: ClassVar = {"batch_shape": "read as the model's input shape"}
    passes: ClassVar = True


class Nothing(LayerType, of_keras=False):
    """Nothing at inference."""

    passes: ClassVar = True


class Identity(Nothing):
    """Nothing at all."""


class Dropout(Nothing):
    """Nothing at inference."""

    ignored: ClassVar = dict.fromkeys(("rate", "noise_shape", "seed"), DROPS)


class SpatialDropout1D(Dropout):
    """Nothing at inference."""


class SpatialDropout2D(Dropout):
    """Nothing at inference."""

    ignored: ClassVar = Dropout.ignored | {"data_format": DROPS}


class AlphaDropout(Dropout):
    """Nothing at inference."""


class GaussianDropout(Dropout):
    """Nothing at inference."""


class GaussianNoise(Nothing):
    """Nothing at inference."""

    ignored: ClassVar = dict.fromkeys(("stddev", "seed"), NOISE)


class ActivityRegularization(Nothing):
    """Nothing at inference."""

    ignored: ClassVar = dict.fromkeys(("l1", "l2"), LOSS)
