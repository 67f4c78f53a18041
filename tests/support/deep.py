"""The deep networks of examples/: their files, inputs that were not trained on, and what Keras
itself makes of them.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@dataclass(frozen=True)
class Deep:
    """A network whose inputs are `low` to `high`. `draw`: so many inputs, (count, ...row)."""

    file: Callable[[], Path]
    draw: Callable[[int], np.ndarray]
    low: float
    high: float
    labels: tuple[str, ...] = tuple("0123456789")

    @property
    def options(self) -> tuple[str, ...]:
        """What the share step has to be told."""
        bounds = ("--input-low", f"{self.low:g}", "--input-high", f"{self.high:g}")
        return (*bounds, "--labels", json.dumps(self.labels))


def example(path: str) -> ModuleType:
    """A module of examples/; what stands beside it can be imported by it."""
    file = EXAMPLES / path
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(file.parent))
    return module


def _pictures(count: int) -> np.ndarray:
    """Small pictures that scikit-image ships: a face, a piece of something else, and so on."""
    photograph = example("expressions/photograph.py")
    pictures = np.load(photograph.data() / "lfw_subset.npy") * 255
    faces, others = pictures[:100], pictures[100:]
    return photograph.prepared(np.stack([faces, others], 1).reshape(-1, 25, 25)[:count])


def _digits(size: int, high: float) -> Callable[[int], np.ndarray]:
    def draw(count: int) -> np.ndarray:
        images, _ = example("networks/data.py").held_out(count, size)
        return images * (high / 255)

    return draw


NETWORKS = {
    "expressions": Deep(
        lambda: example("expressions/fetch.py").model(),
        _pictures,
        low=-1,
        high=1,
        labels=("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
    ),
    "resnet20": Deep(lambda: EXAMPLES / "networks/resnet20.keras", _digits(32, 1), low=0, high=1),
    "mobilenet": Deep(
        lambda: EXAMPLES / "networks/mobilenet.keras", _digits(64, 255), low=0, high=255
    ),
}


def photograph() -> np.ndarray:
    """The face of examples/expressions, (1, 64, 64, 1)."""
    return np.load(EXAMPLES / "expressions/face.npy")


def probabilities(file: Path, x: np.ndarray) -> np.ndarray:
    """What Keras predicts, float64."""
    return _predict(_model(file), x)


def logits(file: Path, x: np.ndarray) -> np.ndarray:
    """The same without the last softmax."""
    model = _model(file)
    last = _last(model)
    softmax, last.activation = last.activation, lambda y: y
    try:
        return _predict(model, x)
    finally:
        last.activation = softmax


def _predict(model: Any, x: np.ndarray) -> np.ndarray:
    rows = np.asarray(x, np.float32)
    return np.concatenate(
        [np.asarray(model(rows[i : i + 20]), np.float64) for i in range(0, len(rows), 20)]
    )


def _last(layer: Any) -> Any:
    """The layer that gives the output, in the nested model if it is in one."""
    return _last(layer.layers[-1]) if hasattr(layer, "layers") else layer


@functools.cache
def _model(file: Path) -> Any:
    if file.suffix == ".keras":
        import keras
    else:  # Keras 3 does not read files of Keras 2.0
        import tf_keras as keras
    return keras.models.load_model(file, compile=False)
