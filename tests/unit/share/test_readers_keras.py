"""Files that Keras 2 and Keras 3 write, of graphs of all kinds: the model that is read holds the
weights that Keras held, and computes what Keras computes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras as keras_3
import numpy as np
import pytest
import tf_keras as keras_2

from securemodel_share.readers import read_here
from securemodel_share.readers.variables import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from securemodel_share.model import Layer, Model

KERAS = {"Keras 2": keras_2, "Keras 3": keras_3}
ROWS = np.random.default_rng(5).normal(size=(3, 6))


def stack(k: Any) -> Any:
    return k.Sequential(
        [k.layers.Input((6,)), k.layers.Dense(5), k.layers.Dropout(0.5), k.layers.Dense(4)]
    )


def residual(k: Any) -> Any:
    x = k.layers.Input((6,))
    y = k.layers.Dense(5, activation="relu")(x)
    z = k.layers.Dense(5)(y)
    return k.Model(x, k.layers.Dense(2)(k.layers.Add()([y, z])))


def shared(k: Any) -> Any:
    x = k.layers.Input((6,))
    twice = k.layers.Dense(6, activation="relu")
    y = twice(x)
    z = k.layers.Concatenate()([k.layers.Dense(3)(twice(y)), y])
    return k.Model(x, z)


def part(k: Any, units: int, name: str) -> Any:
    """Two such parts have layers of the same names; Keras 2 cannot save that in an .h5 file."""
    first = "first" if k is keras_3 else f"{name}_first"
    layers = [k.layers.Dense(units, activation="relu", name=first), k.layers.Dense(units)]
    return k.Sequential([k.layers.Input((6,)), *layers], name=name)


def nested(k: Any) -> Any:
    x = k.layers.Input((6,))
    y = k.layers.Add()([part(k, 6, "left")(x), part(k, 6, "right")(x)])
    return k.Model(x, k.layers.Dense(2)(y))


def three_deep(k: Any) -> Any:
    inner = nested(k)
    x = k.layers.Input((6,))
    middle = k.Model(x, k.layers.Concatenate()([inner(x), part(k, 6, "side")(x)]), name="middle")
    return k.Sequential([k.layers.Input((6,)), middle, k.layers.Dense(3, name="first")])


def nested_twice(k: Any) -> Any:
    inner = nested(k)
    inner = k.Model(inner.inputs, k.layers.Dense(6)(inner.outputs[0]), name="again")
    x = k.layers.Input((6,))
    return k.Model(x, k.layers.Subtract()([inner(inner(x)), inner(x)]))


def two_outputs_inside(k: Any) -> Any:
    x = k.layers.Input((6,))
    two = k.Model(x, [k.layers.Dense(4)(x), k.layers.Dense(4)(x)], name="two")
    a, b = k.layers.Input((4,)), k.layers.Input((4,))
    joined = k.Model([a, b], k.layers.Subtract()([k.layers.Dense(3)(b), k.layers.Dense(3)(a)]))
    x = k.layers.Input((6,))
    one, other = two(x)
    return k.Model(x, joined([other, one]))


def frozen(k: Any) -> Any:
    """What is not trained comes last in Keras's order: here the first layers of all."""
    inner = part(k, 6, "inner")
    inner.layers[0].trainable = False
    outer = k.Sequential([k.layers.Input((6,)), inner, k.layers.Dense(6)], name="outer")
    return k.Sequential([k.layers.Input((6,)), outer, k.layers.Dense(2)])


def renamed(k: Any) -> Any:
    """Weights that keep the names that their layers had: Keras goes by their order."""
    model = frozen(k)
    for layer in model.layers[0].layers[0].layers:
        layer._name = f"no_longer_{layer.name}"
    return model


def normalised(k: Any) -> Any:
    layers = [k.layers.Dense(5), k.layers.BatchNormalization(), k.layers.Dense(3, use_bias=False)]
    inner = k.Sequential([k.layers.Input((6,)), *layers], name="inner")
    last = k.layers.BatchNormalization(center=False)
    return k.Sequential([k.layers.Input((6,)), inner, last])


def operations(k: Any) -> Any:
    x = k.layers.Input((6,))
    y = k.layers.Dense(6)(x / 255.0)
    return k.Model(x, 1.0 - (y * 2.0 + x))


MADE = (
    stack,
    residual,
    shared,
    nested,
    three_deep,
    nested_twice,
    two_outputs_inside,
    frozen,
    renamed,
    normalised,
    operations,
)


def drawn(model: Any) -> Any:
    """The model with weights of its own."""
    draw = np.random.default_rng(2)
    model.set_weights([draw.uniform(0.1, 1, w.shape) for w in model.get_weights()])
    return model


def whole_h5(model: Any, at: Path) -> Model:
    model.save(at / "model.h5", include_optimizer=False)
    return read_here((at / "model.h5").read_bytes())


def whole_keras(model: Any, at: Path) -> Model:
    model.save(at / "model.keras")
    return read_here((at / "model.keras").read_bytes())


def numbered(model: Any, at: Path) -> Model:
    model.save_weights(at / "model.weights.h5")
    return read_here((at / "model.weights.h5").read_bytes(), model.to_json().encode())


def named(model: Any, at: Path) -> Model:
    """Weights by name: Keras 2 writes them so under any other name, Keras 3 no longer does."""
    if isinstance(model, keras_2.Model):
        model.save_weights(at / "model.h5")
    else:
        model.save(at / "whole.h5")
        _strip(at / "whole.h5", at / "model.h5")
    return read_here((at / "model.h5").read_bytes(), model.to_json().encode())


def _strip(whole: Path, weights: Path) -> None:
    import h5py

    with h5py.File(whole) as given, h5py.File(weights, "w") as made:
        for name in given["model_weights"]:
            given.copy(f"model_weights/{name}", made)
        made.attrs.update(given["model_weights"].attrs)


FORMATS = (whole_h5, whole_keras, numbered, named)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("version", KERAS)
def test_what_is_read_computes_what_keras_computes(
    version: str,
    make: Callable[[Any], Any],
    form: Callable[[Any, Path], Model],
    tmp_path: Path,
) -> None:
    model = drawn(make(KERAS[version]))
    read = form(model, tmp_path)
    expected = model.predict(ROWS, verbose=0)
    assert np.abs(computed(read, ROWS) - expected).max() < 1e-4 * np.abs(expected).max()
    assert len({layer.name for layer in read.layers}) == len(read.layers)
    assert read.keras[:1] == version[-1]


def computed(model: Model, x: np.ndarray) -> np.ndarray:
    values = dict.fromkeys(model.inputs, x)
    for layer in model.layers:
        if layer.kind != "InputLayer":
            values[layer.name] = _layer(layer, [values[name] for name in layer.inputs])
    (output,) = model.outputs
    return values[output]


def _layer(layer: Layer, given: list[np.ndarray]) -> np.ndarray:
    kind, weights, config = layer.kind, layer.weights, layer.config
    if kind == "Dense":
        y = given[0] @ weights["kernel"] + weights.get("bias", 0)
        return np.maximum(y, 0) if config["activation"] == "relu" else y
    if kind == "BatchNormalization":
        y = (given[0] - weights["moving_mean"]) / np.sqrt(
            weights["moving_variance"] + config["epsilon"]
        )
        return y * weights["gamma"] + weights.get("beta", 0)
    if kind == "Concatenate":
        return np.concatenate(given, axis=-1)
    if kind == "Dropout":
        return given[0]
    function = config.get("function", kind)
    numbers = {k: v for k, v in layer.arguments.items() if isinstance(v, float)}
    first = "argument 0" in numbers
    operands = [*numbers.values(), *given] if first else [*given, *numbers.values()]
    return FUNCTIONS[function](*operands)


FUNCTIONS = {
    "Add": np.add,
    "Subtract": np.subtract,
    "Multiply": np.multiply,
    "TrueDivide": np.divide,
    "__operators__.add": np.add,
    "math.subtract": np.subtract,
    "math.multiply": np.multiply,
    "math.truediv": np.divide,
}


def test_a_layer_that_is_called_twice_is_two_calls_with_the_same_weights(tmp_path: Path) -> None:
    for version in KERAS.values():
        read = whole_h5(drawn(nested_twice(version)), tmp_path)
        calls = {
            layer.name: layer
            for layer in read.layers
            if "left/" in layer.name and "first" in layer.name
        }
        assert [name.partition(" ")[2] for name in calls] == ["", "(call 2)", "(call 3)"]
        one, two, _ = calls.values()
        assert one.weights["kernel"] is two.weights["kernel"]


LAYERS = {
    "Conv1D": ((8, 3), {"filters": 4, "kernel_size": 2}),
    "Conv3D": ((8, 8, 8, 3), {"filters": 4, "kernel_size": 2}),
    "DepthwiseConv2D": ((8, 8, 3), {"kernel_size": 2}),
    "SeparableConv1D": ((8, 3), {"filters": 4, "kernel_size": 2}),
    "SeparableConv2D": ((8, 8, 3), {"filters": 4, "kernel_size": 2}),
    "Conv2DTranspose": ((8, 8, 3), {"filters": 4, "kernel_size": 2}),
    "BatchNormalization": ((4,), {}),
    "LayerNormalization": ((4,), {}),
    "GroupNormalization": ((4,), {"groups": 2}),
    "Normalization": ((4,), {}),
    "PReLU": ((4,), {}),
    "Embedding": ((4,), {"input_dim": 3, "output_dim": 2}),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_the_numbers_of_weights_are_in_the_order_of_keras(kind: str) -> None:
    """As `.keras` files number them: what is trained, then the rest."""
    shape, options = LAYERS[kind]
    layer = getattr(keras_3.layers, kind)(**options)
    keras_3.Sequential([keras_3.layers.Input(shape), layer])
    names = [variable.name for variable in layer.weights]
    assert [variable.name for variable in VARIABLES[kind]] == names
    trained = [variable.name for variable in VARIABLES[kind] if variable.trained]
    assert trained == [variable.name for variable in layer.trainable_weights]


def test_a_model_that_was_trained_is_read(tmp_path: Path) -> None:
    """The optimizer's arrays, and the random numbers of Dropout, are of no interest."""
    model = stack(keras_3)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(ROWS, ROWS[:, :4], verbose=0)
    for form in (whole_keras, numbered, whole_h5):
        read = form(model, tmp_path)
        expected = model.predict(ROWS, verbose=0)
        assert np.abs(computed(read, ROWS) - expected).max() < 1e-5


def test_a_network_inside_that_was_trained_by_itself_is_read(tmp_path: Path) -> None:
    """Keras 2 leaves its metrics in the file, both leave its optimizer."""
    for version in KERAS.values():
        model = nested(version)
        for trained in (model.layers[1], model):
            trained.compile("sgd", "mse", metrics=["mae"])
            trained.fit(ROWS, ROWS[:, : trained.output_shape[-1]], verbose=0)
        expected = model.predict(ROWS, verbose=0)
        for form in (whole_keras, numbered):
            assert np.abs(computed(form(model, tmp_path), ROWS) - expected).max() < 1e-5


def test_weights_saved_in_another_session_are_read(tmp_path: Path) -> None:
    """The same network in code, whose layers Keras has counted on: dense_5 is dense there."""
    for version in KERAS.values():
        model = drawn(three_deep(version))
        model.save_weights(tmp_path / "a.weights.h5")
        if version is keras_2:
            model.save_weights(tmp_path / "a.weights.h5", save_format="h5")
        other = three_deep(version)
        read = read_here((tmp_path / "a.weights.h5").read_bytes(), other.to_json().encode())
        expected = model.predict(ROWS, verbose=0)
        assert np.abs(computed(read, ROWS) - expected).max() < 1e-4 * np.abs(expected).max()
