"""Random networks of the supported layers, with fixed seeds: the example's, and others."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np


@dataclass(frozen=True)
class Network:
    """A model as Keras 2 would have stored it, and inputs within [-1, 1] or [0, 1]."""

    file: bytes
    inputs: np.ndarray


def conv(filters: int, size: Any = 3, strides: Any = 1, **more: Any) -> tuple[str, dict[str, Any]]:
    pair = lambda v: [v, v] if isinstance(v, int) else list(v)  # noqa: E731
    return "Conv2D", {
        "filters": filters,
        "kernel_size": pair(size),
        "strides": pair(strides),
        "padding": "valid",
        **more,
    }


def pool(size: Any = 2, strides: Any = None) -> tuple[str, dict[str, Any]]:
    pair = lambda v: [v, v] if isinstance(v, int) else list(v)  # noqa: E731
    return "AveragePooling2D", {
        "pool_size": pair(size),
        "strides": pair(strides or size),
        "padding": "valid",
    }


def max_pool(size: Any = 2, strides: Any = None) -> tuple[str, dict[str, Any]]:
    return "MaxPooling2D", pool(size, strides)[1]


def dense(units: int, **more: Any) -> tuple[str, dict[str, Any]]:
    return "Dense", {"units": units, **more}


RELU = ("Activation", {"activation": "relu"})
FLATTEN = ("Flatten", {})

# name: input shape, layers, standard deviation of the weights, batch
ARCHITECTURES: dict[str, tuple[tuple[int, ...], list[tuple[str, dict[str, Any]]], float, int]] = {
    "seed": (
        (28, 28, 1),
        [
            conv(10),
            pool(),
            RELU,
            conv(32),
            pool(),
            RELU,
            conv(64),
            pool(),
            RELU,
            FLATTEN,
            dense(10),
        ],
        0.2,
        32,
    ),
    "strides": (
        (19, 17, 3),
        [conv(8, (3, 5), (2, 1), activation="relu"), conv(5, 3, (1, 2)), RELU, FLATTEN, dense(4)],
        0.2,
        7,
    ),
    "no bias": (
        (16, 16, 2),
        [
            conv(6, 5, use_bias=False),
            pool(),
            RELU,
            FLATTEN,
            dense(9, use_bias=False, activation="relu"),
            dense(3, use_bias=False),
        ],
        0.2,
        64,
    ),
    "dense only": (
        (50,),
        [dense(64, activation="relu"), dense(32), dense(16, activation="relu"), dense(5)],
        0.2,
        64,
    ),
    "pool after relu": (
        (14, 14, 4),
        [
            conv(7, activation="relu"),
            pool(),
            conv(9, 3, activation="relu"),
            pool(2, 1),
            FLATTEN,
            dense(6),
        ],
        0.15,
        5,
    ),
    "pool of three": ((20, 20, 1), [conv(8, 3, 2), pool(3, 2), RELU, FLATTEN, dense(10)], 0.2, 1),
    "max pooling": (
        (17, 15, 2),
        [max_pool(2, 1), conv(6), max_pool(3, 2), RELU, conv(8), max_pool(), FLATTEN, dense(5)],
        0.2,
        9,
    ),
    "max after relu": (
        (16, 16, 3),
        [
            conv(8, activation="relu"),
            conv(6, 3),
            RELU,
            max_pool(),
            conv(10, activation="relu"),
            max_pool(2, 1),
            FLATTEN,
            dense(7),
        ],
        0.15,
        4,
    ),
}
NAMES = list(ARCHITECTURES)


def make(name: str, seed: int = 1) -> Network:
    """A network of that architecture; other seeds give other weights of the same shapes."""
    shape, layers, deviation, batch = ARCHITECTURES[name]
    rng = np.random.default_rng(seed)
    return Network(
        keras_file(shape, layers, lambda s: rng.normal(0, deviation, s)),
        np.random.default_rng(99).uniform(0, 1, (batch, *shape)),
    )


def weighted(
    kind: str, config: dict[str, Any], size: list[int], weights: Any
) -> tuple[dict[str, np.ndarray], list[int]]:
    """The layer's weights, drawn by their shapes, and the size of its output.

    Completes the configuration by Keras's defaults.
    """
    arrays: dict[str, np.ndarray] = {}
    if kind == "Conv2D":
        (kh, kw), (sy, sx) = config["kernel_size"], config["strides"]
        arrays["kernel"] = weights((kh, kw, size[2], config["filters"]))
        size = [(size[0] - kh) // sy + 1, (size[1] - kw) // sx + 1, config["filters"]]
    elif kind in ("AveragePooling2D", "MaxPooling2D"):
        (ph, pw), (sy, sx) = config["pool_size"], config["strides"]
        size = [(size[0] - ph) // sy + 1, (size[1] - pw) // sx + 1, size[2]]
    elif kind == "Dense":
        arrays["kernel"] = weights((size[0], config["units"]))
        size = [config["units"]]
    elif kind == "Flatten":
        size = [int(np.prod(size))]

    if kind in ("Conv2D", "Dense"):
        config.setdefault("activation", "linear")
        if config.setdefault("use_bias", True):
            arrays["bias"] = weights((size[-1],))
    return arrays, size


def keras_file(
    shape: tuple[int, ...],
    layers: list[tuple[str, dict[str, Any]]],
    weights: Any,
    *,
    keras: int = 2,
) -> bytes:
    """The .h5 bytes of a Sequential model, in the layout of Keras 2 or 3."""
    size = list(shape)
    entries: list[dict[str, Any]] = []
    stored: dict[str, dict[str, np.ndarray]] = {}
    for i, (kind, given) in enumerate(layers):
        config = {"name": f"{kind.lower()}_{i}", **given}
        stored[config["name"]], size = weighted(kind, config, size, weights)
        entries.append({"class_name": kind, "config": config})

    batch_shape = "batch_input_shape" if keras == 2 else "batch_shape"
    first = {"name": "input_1", batch_shape: [None, *shape]}
    entries.insert(0, {"class_name": "InputLayer", "config": first})

    suffix = ":0" if keras == 2 else ""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["model_config"] = json.dumps(
            {"class_name": "Sequential", "config": {"name": "network", "layers": entries}}
        )
        file.attrs["keras_version"] = "2.15.0" if keras == 2 else "3.5.0"
        groups = file.create_group("model_weights")
        for name, arrays in stored.items():
            group = groups.create_group(name)
            paths = [
                f"{name}/{short}{suffix}" if keras == 2 else f"network/{name}/{short}"
                for short in arrays
            ]
            group.attrs["weight_names"] = [path.encode() for path in paths]
            for path, array in zip(paths, arrays.values(), strict=True):
                group.create_dataset(path, data=array.astype(np.float32))
    return out.getvalue()


def rotations(layers: int = 24) -> bytes:
    """The .h5 bytes of a network that turns its input again and again: what is met stays as large
    as the input, what intervals prove grows with every layer.
    """
    pair = np.array([[1, 1], [1, -1]])
    turn = np.kron(np.kron(pair, pair), pair) / np.sqrt(8)
    return keras_file((8,), [dense(8, use_bias=False) for _ in range(layers)], lambda _: turn)


def lost() -> bytes:
    """The .h5 bytes of a network whose weights are too small for the fixed point."""
    return keras_file((4,), [dense(2, name="tiny")], lambda shape: np.full(shape, 3e-7))
