"""The plaintext model, for comparison.

A .h5 (the example's by default) evaluated by Keras's arithmetic, without our compiler.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from securemodel_share.model import Model
from securemodel_share.readers import read_model

DIGITS = Path(__file__).resolve().parents[2] / "examples/digits"


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Held-out images (360, 28, 28, 1) and labels."""
    return np.load(DIGITS / "digits.npy").astype(np.float64), np.load(DIGITS / "labels.npy")


@functools.cache
def model() -> Model:
    return read_model((DIGITS / "digits.h5").read_bytes())


def logits(images: np.ndarray) -> np.ndarray:
    """(B, 10), float64."""
    return evaluate(model(), images)


def evaluate(network: Model, x: np.ndarray) -> np.ndarray:
    """Layer by layer as Keras defines them. Raises NotImplementedError for others."""
    for layer in network.layers:
        config = layer.config
        if layer.kind == "Conv2D":
            sy, sx = config["strides"]
            kernel = layer.weights["kernel"]
            windows = sliding_window_view(x, kernel.shape[:2], axis=(1, 2))[:, ::sy, ::sx]
            x = np.einsum("byxcij,ijco->byxo", windows, kernel, optimize=True)
        elif layer.kind == "Dense":
            x = x @ layer.weights["kernel"]
        elif layer.kind in ("AveragePooling2D", "MaxPooling2D"):
            sy, sx = config["strides"]
            windows = sliding_window_view(x, config["pool_size"], axis=(1, 2))[:, ::sy, ::sx]
            pool = np.mean if layer.kind == "AveragePooling2D" else np.max
            x = pool(windows, axis=(-2, -1))
        elif layer.kind == "Flatten":
            x = x.reshape(len(x), -1)
        elif layer.kind not in ("InputLayer", "Activation", "Dropout", "ReLU"):
            raise NotImplementedError(f"{layer.kind} has no arithmetic here yet")

        if "bias" in layer.weights:
            x = x + layer.weights["bias"]
        if config.get("activation") == "relu" or layer.kind == "ReLU":
            x = np.maximum(x, 0)
    return x
