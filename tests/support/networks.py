"""Random networks of the supported layers, with fixed seeds: the example's, and others."""

from __future__ import annotations

import io
import json
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # read when TensorFlow is imported

import h5py
import numpy as np

from securemodel_share.compile import record
from securemodel_share.passes import optimize
from securemodel_share.program import Program, fix
from securemodel_share.readers import read_here


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
CHAINS = list(ARCHITECTURES)


def make(name: str, seed: int = 1) -> Network:
    """A network of that architecture; other seeds give other weights of the same shapes."""
    if name in GRAPHS:
        return _graph(name, seed)
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


# what a Keras layer makes of a tensor
Tensor = Any


def residual(k: Any, x: Tensor) -> Tensor:
    """Blocks of convolutions that are added to what they read, narrower ones by a 1x1."""
    x = k.Activation("relu")(k.BatchNormalization()(k.Conv2D(4, 3, padding="same")(x)))
    for filters, stride in ((4, 1), (6, 2)):
        y = k.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
        y = k.ReLU()(k.BatchNormalization()(y))
        y = k.BatchNormalization()(k.Conv2D(filters, 3, padding="same", use_bias=False)(y))
        x = x if stride == 1 else k.Conv2D(filters, 1, strides=stride)(x)
        x = k.ReLU()(k.Add()([x, y]))
    return k.Dense(3)(k.Dropout(0.5)(k.GlobalAveragePooling2D()(x)))


def separable(k: Any, x: Tensor) -> Tensor:
    """Channels by themselves, then pixels; 'same' poolings; ReLU6."""
    x = k.ReLU(6.0)(k.BatchNormalization()(k.SeparableConv2D(6, 3, padding="same")(x)))
    x = k.MaxPooling2D(3, 2, "same")(x)
    x = k.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, activation="relu6")(x)
    x = k.AveragePooling2D(2, 1, "same")(k.Conv2D(4, 1, groups=2)(x))
    return k.Dense(3)(k.Flatten()(x))


def sequence(k: Any, x: Tensor) -> Tensor:
    """One axis: causal, dilated, transposed, pooled, longer and shorter."""
    x = k.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu")(x)
    x = k.MaxPooling1D(3, 2, "same")(k.Conv1D(4, 3, strides=2, padding="same")(x))
    x = k.Conv1DTranspose(3, 4, strides=2, padding="same", activation="relu")(x)
    x = k.Cropping1D((1, 2))(k.UpSampling1D(2)(k.ZeroPadding1D((2, 0))(x)))
    y = k.GlobalMaxPooling1D()(x)
    return k.Dense(2)(k.Concatenate()([y, k.Flatten()(k.AveragePooling1D(2)(x))]))


def branches(k: Any, x: Tensor) -> Tensor:
    """Several ways from the input to the output, and everything that joins them."""
    a = k.Conv2D(3, 3, padding="same")(x)
    b = k.Conv2D(3, 1, activation="relu")(x)
    c = k.AveragePooling2D(2, 1, "same")(a)
    joined = [k.Maximum()([a, b, c]), k.Minimum()([a, b]), k.Average()([a, b, c])]
    x = k.Concatenate()([*joined, k.Subtract()([a, b])])
    x = k.Concatenate(axis=1)([k.Cropping2D(((2, 0), (0, 1)))(x), k.Permute((2, 1, 3))(x)])
    return k.Dense(3)(k.Flatten()(k.Conv2D(2, 3, strides=2)(x)))


def decoder(k: Any, x: Tensor) -> Tensor:
    """From few pixels to more of them."""
    x = k.LeakyReLU(0.1)(k.Reshape((3, 4, -1))(k.Dense(24)(x)))
    x = k.PReLU(shared_axes=[1, 2])(k.Conv2DTranspose(3, 3, strides=2, padding="same")(x))
    x = k.UpSampling2D(2, interpolation="bilinear")(k.UpSampling2D((1, 2))(x))
    return k.Conv2D(1, 3)(k.ReLU(max_value=1.0, negative_slope=0.2, threshold=0.25)(x))


def normalised(k: Any, x: Tensor) -> Tensor:
    """Numbers that products take over, and some that nothing can."""
    x = k.Normalization(mean=[0.5, 0.25], variance=[0.5, 2.0])(k.Rescaling(2.0, -1.0)(x))
    x = k.Dense(4, activation="relu")(x)
    x = k.MaxPooling2D(2)(k.BatchNormalization(axis=1)(x))
    x = k.BatchNormalization(scale=False)(k.Flatten()(x))
    return k.Dense(2)(k.Flatten()(k.RepeatVector(2)(x)))


def shared(k: Any, x: Tensor) -> Tensor:
    """A layer that is called twice, and a model in the model."""
    import tf_keras

    inner = tf_keras.Sequential([k.Dense(5, activation="relu"), k.Dense(5)])
    dense = k.Dense(5, activation="relu")
    return k.Dense(2)(k.Add()([inner(dense(x)), dense(inner(x))]))


# name: what is built on an input, the shape of a row, the standard deviation of the weights, batch
GRAPHS: dict[str, tuple[Callable[[Any, Tensor], Tensor], tuple[int, ...], float, int]] = {
    "residual": (residual, (9, 8, 2), 0.3, 5),
    "separable": (separable, (11, 9, 3), 0.4, 3),
    "sequence": (sequence, (14, 2), 0.6, 6),
    "branches": (branches, (6, 7, 2), 0.4, 4),
    "decoder": (decoder, (6,), 0.3, 2),
    "normalised": (normalised, (4, 6, 2), 0.3, 7),
    "shared": (shared, (5,), 0.4, 16),
}
NAMES = [*CHAINS, *GRAPHS]


def _graph(name: str, seed: int) -> Network:
    import tf_keras

    build, shape, deviation, batch = GRAPHS[name]
    first = tf_keras.Input(shape)
    model = tf_keras.Model(first, build(tf_keras.layers, first))
    draw(model, deviation, seed)
    return Network(saved(model), np.random.default_rng(99).uniform(0, 1, (batch, *shape)))


def program(file: bytes) -> Program:
    """The program of a model's file, for inputs from -1 to 1; that its ranges hold is not asked."""
    return fix(optimize(record(read_here(file))), -1.0, 1.0)


POSITIVE = ("gamma", "variance")


def draw(model: Any, deviation: float, seed: int = 1) -> None:
    """Gives a model of Keras 2 or 3 random weights; variances and scales are positive. What a layer
    has adapted itself to it keeps.
    """
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if not hasattr(layer, "adapt"):
            layer.set_weights([_drawn(rng, weight, deviation) for weight in layer.weights])


def _drawn(rng: np.random.Generator, weight: Any, deviation: float) -> np.ndarray:
    if any(word in weight.name for word in POSITIVE):
        return rng.uniform(0.5, 2, weight.shape)
    return rng.normal(0, deviation, weight.shape)


def saved(model: Any, suffix: str = "h5") -> bytes:
    """The file that Keras makes of a model."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that .h5 is a legacy format
        path = Path(folder) / f"model.{suffix}"
        model.save(path, include_optimizer=False) if suffix == "h5" else model.save(path)
        return path.read_bytes()
