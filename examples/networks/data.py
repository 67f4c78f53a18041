"""Digits on photographs: small colour images of ten classes, from what scikit-learn ships.

A scanned digit (load_digits, 8 x 8) is turned, scaled, moved and painted in a colour on a patch
of a photograph, and noise is added. Held-out images have digits that training images do not have,
on parts of the photographs that training images do not have.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import sklearn.datasets
import tensorflow as tf
from scipy import ndimage
from sklearn.model_selection import train_test_split

SEED = 7
HELD_OUT_DIGITS = 360
TRAINING_PART = 0.6  # of the width of each photograph, from the left
CONTRAST = 0.3  # between the digit's colour and the patch's mean, in the mean of the channels
NOISE = 0.03


def training(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, size, size, 3) as bytes, and their labels."""
    digits, _, labels, _ = _digits()
    photographs = [photo[:, : int(photo.shape[1] * TRAINING_PART)] for photo in _photographs()]
    return _images(count, size, digits, labels, photographs, np.random.default_rng(SEED))


def held_out(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """As `training`, of other digits on other parts of the photographs."""
    _, digits, _, labels = _digits()
    photographs = [photo[:, int(photo.shape[1] * TRAINING_PART) :] for photo in _photographs()]
    return _images(count, size, digits, labels, photographs, np.random.default_rng(SEED + 1))


def _digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    digits = sklearn.datasets.load_digits()
    return train_test_split(
        digits.images / 16,
        digits.target,
        test_size=HELD_OUT_DIGITS,
        random_state=SEED,
        stratify=digits.target,
    )


def _photographs() -> Iterator[np.ndarray]:
    """The photographs that scikit-learn ships, (height, width, 3) in [0, 1]."""
    for file in sorted((Path(sklearn.datasets.__file__).parent / "images").glob("*.jpg")):
        yield tf.io.decode_jpeg(file.read_bytes()).numpy() / 255


def _images(
    count: int,
    size: int,
    digits: np.ndarray,
    labels: np.ndarray,
    photographs: list[np.ndarray],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    images = np.empty((count, size, size, 3), np.uint8)
    chosen = np.resize(rng.permutation(len(digits)), count)
    for at, digit in enumerate(chosen):
        patch = _patch(photographs[rng.integers(len(photographs))], size, rng)
        mask = _placed(digits[digit], size, rng)[..., None]
        image = patch * (1 - mask) + _colour(patch, rng) * mask
        image += rng.normal(0, NOISE, image.shape)
        images[at] = np.round(np.clip(image, 0, 1) * 255)
    return images, labels[chosen]


def _patch(photograph: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A square of the photograph, every pixel or every second one."""
    step = rng.integers(1, 3)
    y, x = (rng.integers(length - size * step) for length in photograph.shape[:2])
    return photograph[y : y + size * step : step, x : x + size * step : step]


def _placed(digit: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """The digit turned, scaled and moved, (size, size) in [0, 1]."""
    angle = np.deg2rad(rng.uniform(-15, 15))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn *= len(digit) / (size * rng.uniform(0.7, 1.0))
    centre = size / 2 + rng.uniform(-0.08, 0.08, 2) * size
    offset = (len(digit) - 1) / 2 - turn @ centre
    return ndimage.affine_transform(digit, turn, offset, (size, size), order=1)


def _colour(patch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    while True:
        colour = rng.uniform(0, 1, 3)
        if abs(colour.mean() - patch.mean()) > CONTRAST:
            return colour
