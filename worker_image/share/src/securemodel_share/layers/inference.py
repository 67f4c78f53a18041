"""Layers that compute nothing at inference."""

from __future__ import annotations

from typing import Any, ClassVar

from .base import LayerType
from .settings import count, only

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


class Augmentation(Nothing, of_keras=False):
    """Nothing at inference."""

    ignored: ClassVar = dict.fromkeys(
        (
            *("seed", "rng_type", "data_format", "value_range", "mode", "alpha", "num_chains"),
            *("chain_depth", "all_ops", "num_ops", "interpolation", "fill_mode", "fill_value"),
            *("factor", "height_factor", "width_factor", "x_factor", "y_factor", "scale", "sigma"),
            *("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor"),
            "kernel_size",
        ),
        AUGMENTS,
    )


class RandomCrop(Augmentation):
    """Nothing at inference, if what it crops to is the size that images have."""

    settings: ClassVar = {"height": count(), "width": count()}

    def lower(self, _tfe: Any, x: Any, /) -> Any:
        if tuple(int(d) for d in x.shape[1:3]) != (self["height"], self["width"]):
            raise ValueError(f"it crops to {self['height']} x {self['width']}")
        return x


AUGMENTATIONS = (
    *("AugMix", "CutMix", "MixUp", "RandAugment", "RandomBrightness", "RandomColorDegeneration"),
    *("RandomColorJitter", "RandomContrast", "RandomElasticTransform", "RandomErasing"),
    *("RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHeight", "RandomHue"),
    *("RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation"),
    *("RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomWidth"),
    "RandomZoom",
)
for _name in AUGMENTATIONS:
    type(_name, (Augmentation,), {"__doc__": Augmentation.__doc__})
