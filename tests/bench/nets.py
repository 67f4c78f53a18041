"""The networks that are measured: inputs, the right answers, multiplications and ReLUs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

import deep
import networks
import reference
from networks import FLATTEN, RELU, conv, dense, pool
from securemodel_share.cost import Work, count

Layers = list[tuple[str, dict[str, Any]]]
GAIN = 1.5
POSITIVE = 0.8
DEEP, DEEP_INPUTS = tuple(deep.NETWORKS), 200


def provable(rng: np.random.Generator) -> Callable[[tuple[int, ...]], np.ndarray]:
    """Random weights for deep networks.

    The absolute weights of an output sum to GAIN, so that the bound of every layer can be proved;
    most are positive, so that values do not die away. Their sizes are spread widely (log-normal),
    because a sum of many equal terms would hide the inputs.
    """

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) == 1:
            return rng.normal(0, 0.1, shape)
        w = np.exp(2 * rng.normal(size=shape)) * np.where(rng.random(shape) < POSITIVE, 1, -1)
        return GAIN * w / np.abs(w).sum(axis=tuple(range(len(shape) - 1)), keepdims=True)

    return draw


def convs(*filters: int) -> Layers:
    return [layer for count in filters for layer in (conv(count), RELU)]


VGG: Layers = [
    *convs(32, 32), pool(),
    *convs(64, 64), pool(),
    *convs(128), FLATTEN,
    dense(128), RELU, dense(10),
]  # fmt: skip
# as many multiplications and ReLUs as ResNet-18 has at 224 x 224, in a plain stack of valid
# convolutions: with such weights its ranges can be proved
RESNET: Layers = [
    conv(72, 7, 2), RELU, pool(), *convs(96, 96, 96, 96),
    conv(192, 3, 2), RELU, *convs(192, 192, 192), *convs(320, 320, 320, 320), *convs(512, 512, 512),
    pool(), FLATTEN, dense(1000),
]  # fmt: skip


@dataclass(frozen=True)
class Net:
    """A model file, inputs and the logits that Keras's arithmetic gives for them.

    `options`: what the share step is told of the inputs, if they are not within [-1, 1].
    `folder`: where the samples are files.
    """

    name: str
    model: Path
    folder: Path
    inputs: np.ndarray
    expected: np.ndarray
    tolerance: float
    options: tuple[str, ...] = ()

    def floats(self, what: str) -> Path:
        return self.folder / f"{self.name}.{what}.f64"

    def write(self) -> None:
        for what, array in {"inputs": self.inputs, "expected": self.expected}.items():
            self.floats(what).write_bytes(np.ascontiguousarray(array, dtype="<f8").tobytes())


def make(name: str, folder: Path) -> Net:
    """Writes the model and the samples as files into the folder."""
    if name == "seed":  # the example's architecture
        file = networks.make("seed").file
        inputs = np.random.default_rng(99).uniform(0, 1, (256, 28, 28, 1))
    else:
        shape, layers, samples = {
            "mlp": ((784,), [dense(256), RELU, dense(128), RELU, dense(10)], 64),
            "vgg": ((32, 32, 3), VGG, 8),
            "resnet": ((224, 224, 3), RESNET, 1),
        }[name]
        rng = np.random.default_rng(1)
        file = networks.keras_file(shape, layers, provable(rng))
        inputs = rng.uniform(0, 1, (samples, *shape))

    path = folder / f"{name}.h5"
    path.write_bytes(file)
    expected = reference.predict(file, inputs)
    net = Net(name, path, folder, inputs, expected, 2e-3)
    net.write()
    return net


def make_deep(name: str, folder: Path) -> Net:
    """The same of a network of examples/, as Keras itself computes it."""
    network = deep.NETWORKS[name]
    inputs = network.draw(DEEP_INPUTS)
    expected = deep.logits(network.file(), inputs)
    # 1e-3 of the largest output, as the share step accepts it
    tolerance = 1e-3 * max(1.0, float(np.abs(expected).max()))
    net = Net(name, network.file(), folder, inputs, expected, tolerance, network.options)
    net.write()
    return net


def cost(share_file: Path) -> Work:
    """Counted in the program that the players run, after everything that the compiler does."""
    with safe_open(share_file, "numpy") as file:
        return count(json.loads(file.metadata()["program"])["instructions"])
