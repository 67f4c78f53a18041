"""The same model three ways: our program, Keras (2 and 3), and TF Encrypted's own SecureNN."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # read when TensorFlow is imported

import keras
import numpy as np
import pytest
import tf_keras
from hypothesis import given

import networks
import reference
from drawn_layers import FAMILIES, MERGING, VERSIONS, Merging, OneLayer, chain, drawn, layers
from securemodel_share.execute import execute, execute_fixed

ORACLE = Path(__file__).parents[2] / "support" / "oracle.py"
# rows that SecureNN gets: it is slow
ORACLE_ROWS = 4


@pytest.mark.parametrize("name", networks.NAMES)
def test_the_program_in_the_clear_agrees_with_keras(name: str) -> None:
    network = networks.make(name)
    expected = reference.predict(network.file, network.inputs)
    alike = expected.mean(axis=0 if len(expected) > 1 else None)
    assert np.abs(expected - alike).max() > 0.05
    found = execute(networks.program(network.file), network.inputs)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("name", networks.NAMES)
def test_fixed_point_costs_little(name: str) -> None:
    network = networks.make(name)
    program = networks.program(network.file)
    error = np.abs(
        execute_fixed(program, network.inputs, np.random.default_rng(0))
        - execute(program, network.inputs)
    ).max()
    assert error <= 2e-4


def test_the_example_in_fixed_point_is_close_on_all_held_out_digits() -> None:
    images, labels = reference.digits()
    program = networks.program((reference.DIGITS / "digits.h5").read_bytes())
    expected = reference.logits(images)
    clear, fixed = (
        execute(program, images),
        execute_fixed(program, images, np.random.default_rng(0)),
    )
    assert (expected.argmax(1) == labels).mean() >= 0.97
    assert np.abs(clear - expected).max() <= 5e-5  # float32 in Keras; logits reach 33
    assert np.abs(fixed - expected).max() <= 5e-4
    assert (fixed.argmax(1) == expected.argmax(1)).all()


def check(model: Any, suffix: str = "h5") -> None:
    """Our program of a Keras model computes what the model does, exact and in fixed point."""
    random = np.random.default_rng(5)
    x = random.uniform(-1, 0.5, (3, *model.inputs[0].shape[1:])).astype(np.float32)
    expected = np.asarray(model(x))
    program = networks.program(networks.saved(model, suffix))
    largest = max(1.0, np.abs(expected).max())
    found, fixed = execute(program, x), execute_fixed(program, x, random)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2e-5 * largest
    assert np.abs(fixed - expected).max() <= 5e-4 * largest


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_layers_of_any_shape_and_options_agree_with_keras(family: str, version: str) -> None:
    @drawn(25)
    @given(layers(version, family))
    def run(layer: OneLayer | Merging) -> None:
        check(layer.model())

    run()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("slope", [0.0, 1e-9, 0.01, 0.3, 1.0, 1.5, 4.0, -0.5])
def test_any_slope_of_a_leaky_relu_agrees_with_keras(slope: float, version: str) -> None:
    if version == "Keras 3" and slope < 0:
        with pytest.raises(ValueError, match="negative"):
            keras.layers.LeakyReLU(slope)
        return
    check(chain(version, (40,), VERSIONS[version].layers.LeakyReLU(slope)))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.375])
@pytest.mark.parametrize("slope", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("most", [None, 0.125, 0.25, 6.0])
def test_any_relu_agrees_with_keras(
    most: float | None, slope: float, threshold: float, version: str
) -> None:
    check(chain(version, (40,), VERSIONS[version].layers.ReLU(most, slope, threshold)))


@pytest.mark.parametrize("threshold", [0.0, 0.25])
def test_a_thresholded_relu_agrees_with_keras(threshold: float) -> None:
    check(chain("Keras 2", (40,), tf_keras.layers.ThresholdedReLU(threshold)))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("kind", MERGING)
def test_merging_layers_agree_with_keras(kind: str, count: int, version: str) -> None:
    check(Merging(version=version, kind=kind, count=count, shape=(3, 4)).model())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("axis", [1, 2, -1, -2])
def test_any_axis_of_a_concatenation_agrees_with_keras(axis: int, version: str) -> None:
    k = VERSIONS[version]
    x = k.Input((3, 4))
    y = k.layers.Permute((2, 1))(k.layers.Dense(3)(x))
    other = k.layers.Permute((2, 1))(k.layers.Dense(3)(k.layers.Cropping1D(1)(x)))
    other = other if axis in (2, -1) else k.layers.Permute((2, 1))(k.layers.Dense(3)(x))
    other = other if axis in (2, -1) else k.layers.UpSampling1D(2)(other)
    model = k.Model(x, k.layers.Concatenate(axis=axis)([y, other]))
    networks.draw(model, 0.5)
    check(model)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("axis", [-1, 1, None, (1, 2)])
@pytest.mark.parametrize("invert", [False, True])
def test_a_normalisation_by_its_own_statistics_agrees_with_keras(
    axis: Any, invert: bool, version: str
) -> None:
    layer = VERSIONS[version].layers.Normalization(axis=axis, invert=invert)
    layer.adapt(np.random.default_rng(1).uniform(-3, 5, (50, 3, 4)))
    check(chain(version, (3, 4), layer))


@pytest.mark.parametrize("kind", ["Conv", "SeparableConv", "Transposed"])
@pytest.mark.parametrize("axes", [1, 2])
def test_channels_first_with_a_bias_agree_with_keras(kind: str, axes: int) -> None:
    name = f"Conv{axes}DTranspose" if kind == "Transposed" else f"{kind}{axes}D"
    layer = getattr(keras.layers, name)(3, 2, data_format="channels_first", activation="relu")
    check(chain("Keras 3", (2, 6, 7)[: axes + 1], layer))


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Flatten(data_format="channels_first"),
        keras.layers.ZeroPadding2D(((1, 2), (0, 3)), data_format="channels_first"),
        keras.layers.Cropping2D(((1, 2), (0, 3)), data_format="channels_first"),
        keras.layers.UpSampling2D((2, 3), data_format="channels_first"),
    ],
)
def test_channels_first_of_what_moves_agrees_with_keras(layer: Any) -> None:
    check(chain("Keras 3", (2, 5, 6), layer))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shared", [None, [1], [2], [1, 2], [3]])
def test_shared_axes_of_a_prelu_agree_with_keras(shared: list[int] | None, version: str) -> None:
    check(chain(version, (2, 5, 6), VERSIONS[version].layers.PReLU(shared_axes=shared)))


def test_a_normalisation_of_two_axes_agrees_with_keras() -> None:
    check(chain("Keras 2", (3, 4, 2), tf_keras.layers.BatchNormalization(axis=[1, 3])))


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_numbers_at_the_threshold_of_a_relu_are_as_in_keras(shape: tuple[int, ...]) -> None:
    """Keras gives 0 at the threshold itself."""
    k = tf_keras.layers
    relu = k.ReLU(max_value=0.75, threshold=0.25, negative_slope=0.5)
    model = chain("Keras 2", shape, relu)
    x = np.random.default_rng(2).choice([-1, 0, 0.25, 0.5, 0.75, 1], (8, *shape))
    found = execute_fixed(networks.program(networks.saved(model)), x, np.random.default_rng(0))
    assert np.abs(found - model(x.astype(np.float32)).numpy()).max() <= 1e-4


# a product each, but where a normalisation joins its neighbour
k = tf_keras.layers
NORMALISED = {
    "after a convolution": [k.Conv2D(4, 3), k.BatchNormalization(), k.ReLU(), k.Flatten()],
    "after a convolution without bias": [
        k.Conv2D(4, 3, use_bias=False), k.BatchNormalization(), k.ReLU(), k.Flatten(),
    ],
    "behind the pooling after a convolution": [
        k.Conv2D(4, 3), k.AveragePooling2D(), k.Dropout(0.5), k.BatchNormalization(), k.ReLU(),
        k.Flatten(),
    ],
    "after a dense layer": [k.Flatten(), k.Dense(6), k.BatchNormalization(), k.ReLU()],
    "before a convolution": [
        k.ReLU(), k.BatchNormalization(), k.Conv2D(4, 3), k.ReLU(), k.Flatten(),
    ],
    "before a dense layer": [k.Flatten(), k.ReLU(), k.BatchNormalization()],
    "before a flattened dense layer": [
        k.Conv2D(4, 3, activation="relu"), k.BatchNormalization(), k.AveragePooling2D(),
        k.Flatten(),
    ],
    "first": [k.BatchNormalization(), k.Conv2D(4, 3), k.ReLU(), k.Flatten()],
    "of no scale and no centre": [
        k.Conv2D(4, 3), k.BatchNormalization(scale=False, center=False, epsilon=0.1), k.Flatten(),
    ],
    "of the last axis by its number": [k.Conv2D(4, 3), k.BatchNormalization(axis=3), k.Flatten()],
}  # fmt: skip
# between a ReLU and a max pooling nothing takes it over: it is one product more
ALONE = {
    "before a max pooling": [
        k.Conv2D(4, 3, activation="relu"), k.BatchNormalization(), k.MaxPooling2D(), k.Flatten(),
    ],
    "of a vector": [k.Flatten(), k.Dense(5, activation="relu"), k.BatchNormalization(), k.ReLU()],
}  # fmt: skip


@pytest.mark.parametrize("case", [*NORMALISED, *ALONE])
def test_batch_normalisation_agrees_with_keras(case: str) -> None:
    model = chain("Keras 2", (8, 7, 2), *{**NORMALISED, **ALONE}[case])
    check(model)
    products = sum(
        line.op.name in ("conv2d", "matmul", "multiply")
        for line in networks.program(networks.saved(model)).instructions
    )
    own = sum(isinstance(layer, (k.Conv2D, k.Dense)) for layer in model.layers)
    assert products == own + (case in ALONE)


def functional() -> Any:
    """Pools and rectifies before any weight; sizes, windows and strides that are not square;
    dropout; ends in a pooling that is no power of two.
    """
    x = first = tf_keras.Input((23, 20, 2))
    layers = (
        k.AveragePooling2D((2, 1)), k.ReLU(), k.Conv2D(6, 1), k.Activation("relu"),
        k.Conv2D(8, (3, 2), strides=(1, 2)), k.AveragePooling2D((3, 2), strides=(1, 2)),
        k.Dropout(0.5), k.Activation("linear"), k.Flatten(),
        k.Dense(4, activation="relu"), k.Dense(3),
    )  # fmt: skip
    for layer in layers:
        x = layer(x)
    model = tf_keras.Model(first, x)
    networks.draw(model, 0.3)
    return model


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_a_functional_model_that_keras_saved_agrees(suffix: str) -> None:
    check(functional(), suffix)


# graphs that TF Encrypted computes too
IN_TF_ENCRYPTED = [*networks.CHAINS, "residual", "normalised", "shared"]


@pytest.fixture(scope="module")
def secure_nn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """SecureNN's logits by network. In a process of its own: it replaces parts of TensorFlow."""
    folder = tmp_path_factory.mktemp("oracle")
    for name in IN_TF_ENCRYPTED:
        network = networks.make(name)
        (folder / f"{name}.h5").write_bytes(network.file)
        np.save(folder / f"{name}.npy", network.inputs[:ORACLE_ROWS])
    subprocess.run(
        [sys.executable, str(ORACLE), str(folder)], check=True, timeout=300, capture_output=True
    )
    return {name: np.load(folder / f"{name}.logits.npy") for name in IN_TF_ENCRYPTED}


@pytest.mark.parametrize("name", IN_TF_ENCRYPTED)
def test_the_lowering_agrees_with_tf_encrypteds_secure_nn(
    name: str, secure_nn: dict[str, np.ndarray]
) -> None:
    network = networks.make(name)
    ours = execute(networks.program(network.file), network.inputs[:ORACLE_ROWS])
    assert np.abs(secure_nn[name] - ours).max() <= 2e-2
