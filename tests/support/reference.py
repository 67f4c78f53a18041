"""The plaintext model, for comparison: Keras itself, without our compiler."""

from __future__ import annotations

import functools
import json
import os
import tempfile
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # read when TensorFlow is imported

import h5py
import numpy as np

from securemodel_share.model import Model
from securemodel_share.readers import read_here

DIGITS = Path(__file__).resolve().parents[2] / "examples/digits"


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Held-out images (360, 28, 28, 1) and labels."""
    return np.load(DIGITS / "digits.npy").astype(np.float64), np.load(DIGITS / "labels.npy")


@functools.cache
def model() -> Model:
    return read_here((DIGITS / "digits.h5").read_bytes())


def logits(images: np.ndarray) -> np.ndarray:
    """(B, 10)."""
    return predict((DIGITS / "digits.h5").read_bytes(), images)


@functools.lru_cache(maxsize=1)
def _loaded(file: bytes) -> object:
    import tf_keras

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.h5"
        path.write_bytes(file)
        _list_layers(path)
        return tf_keras.models.load_model(path, compile=False)


def _list_layers(path: Path) -> None:
    """Keras wants a list of the layers with weights; files made by hand (networks.py) have none."""
    with h5py.File(path, "r+") as file:
        groups = file["model_weights"]
        if "layer_names" not in groups.attrs:
            config = json.loads(file.attrs["model_config"])
            names = [layer["config"]["name"] for layer in config["config"]["layers"]]
            groups.attrs["layer_names"] = [name.encode() for name in names if name in groups]


def predict(file: bytes, x: np.ndarray) -> np.ndarray:
    """What Keras 2 answers of an .h5 file."""
    return np.asarray(_loaded(file)(x.astype(np.float32)))
