"""Small models that Keras itself made and saved, with the answers that it gives."""

from __future__ import annotations

import functools
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from securemodel_share.tfe import compat  # noqa: F401 - chooses Keras 2, before it is imported


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A model's files by name, an input (B, ...row) and what Keras answers, (B, ...output)."""

    files: dict[str, bytes]
    inputs: np.ndarray
    answers: np.ndarray


@functools.cache
def pixels() -> Saved:
    """A .keras file: pixels from 0 to 255 in, a last softmax out."""
    model = _model(
        (12, 12, 3),
        lambda layers: [
            layers.Rescaling(1 / 255),
            layers.Conv2D(6, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ],
    )
    inputs = np.random.default_rng(5).integers(0, 256, (4, 12, 12, 3)).astype(np.float64)
    return Saved(files={"m.keras": _saved(model.save, "m.keras")}, **_asked(model, inputs))


@functools.cache
def weights_alone() -> Saved:
    """The tutorial's way: the network in code, its weights in a file of their own."""
    model = _model(
        (16,),
        lambda layers: [
            layers.Dense(12, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ],
    )
    files = {
        "m.weights.h5": _saved(model.save_weights, "m.weights.h5"),
        "m.json": model.to_json().encode(),
    }
    inputs = np.random.default_rng(6).uniform(-1, 1, (5, 16))
    return Saved(files=files, **_asked(model, inputs))


def npy(array: np.ndarray) -> bytes:
    """As numpy.save writes it."""
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def _model(shape: tuple[int, ...], layers: Any) -> Any:
    import tf_keras

    tf_keras.utils.set_random_seed(7)
    return tf_keras.Sequential([tf_keras.Input(shape), *layers(tf_keras.layers)])


def _saved(save: Any, name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def _asked(model: Any, inputs: np.ndarray) -> dict[str, np.ndarray]:
    return {"inputs": inputs, "answers": np.asarray(model(inputs.astype(np.float32)))}
