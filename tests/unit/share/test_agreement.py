"""The same model three ways: our program, Keras, and TF Encrypted's own SecureNN."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # read when TensorFlow is imported

import numpy as np
import pytest
import tf_keras

import networks
import reference
from securemodel_share.compile import Wanted, compile_model
from securemodel_share.errors import ShareError
from securemodel_share.execute import execute, execute_fixed
from securemodel_share.readers import read_model

ORACLE = Path(__file__).parents[2] / "support" / "oracle.py"
# rows that SecureNN gets: it is slow
ORACLE_ROWS = 4


def keras_model(name: str) -> Any:
    """The network as Keras builds it, with the weights of the file."""
    shape, layers, *_ = networks.ARCHITECTURES[name]
    built = [getattr(tf_keras.layers, kind).from_config(config) for kind, config in layers]
    model = tf_keras.Sequential([tf_keras.layers.InputLayer(shape), *built])
    stored = read_model(networks.make(name).file)
    model.set_weights(
        [
            layer.weights[k]
            for layer in stored.layers
            for k in ("kernel", "bias")
            if k in layer.weights
        ]
    )
    return model


@pytest.mark.parametrize("name", networks.NAMES)
def test_the_program_in_the_clear_agrees_with_keras(name: str) -> None:
    network = networks.make(name)
    expected = keras_model(name)(network.inputs.astype(np.float32)).numpy()
    assert expected.std() > 0.01
    found = execute(compile_model(read_model(network.file), Wanted()).program, network.inputs)
    assert np.abs(found - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("name", networks.NAMES)
def test_fixed_point_costs_little(name: str) -> None:
    network = networks.make(name)
    program = compile_model(read_model(network.file), Wanted()).program
    error = np.abs(
        execute_fixed(program, network.inputs, np.random.default_rng(0))
        - execute(program, network.inputs)
    ).max()
    assert error <= 2e-4


def test_the_example_in_fixed_point_is_close_on_all_held_out_digits() -> None:
    images, labels = reference.digits()
    program = compile_model(reference.model(), Wanted()).program
    expected = tf_keras.models.load_model(reference.DIGITS / "digits.h5", compile=False)(
        images.astype(np.float32)
    ).numpy()
    clear, fixed = (
        execute(program, images),
        execute_fixed(program, images, np.random.default_rng(0)),
    )
    assert (expected.argmax(1) == labels).mean() >= 0.97
    assert np.abs(clear - expected).max() <= 5e-5  # float32 in Keras; logits reach 33
    assert np.abs(fixed - expected).max() <= 5e-4
    assert (fixed.argmax(1) == expected.argmax(1)).all()


@pytest.mark.parametrize(
    ("window", "strides"),
    [((1, 1), (2, 1)), ((2, 3), (1, 2)), ((3, 1), (4, 1)), ((5, 4), (2, 3)), ((2, 2), None)],
)
def test_any_window_and_strides_of_a_max_pooling_agree_with_keras(
    window: tuple[int, int], strides: tuple[int, int] | None
) -> None:
    """Beyond what TF Encrypted computes: its max pooling has one stride for both axes."""
    k = tf_keras.layers
    built = tf_keras.Sequential(
        [
            k.InputLayer((11, 9, 2)),
            k.MaxPooling2D(window, strides),
            k.ReLU(),
            k.MaxPooling2D(2, 1),
            k.Flatten(),
            k.Dense(3),
        ]
    )
    shape, layers, random = (
        (11, 9, 2),
        [networks.max_pool(window, strides), networks.RELU, networks.max_pool(2, 1)],
        np.random.default_rng(5),
    )
    file = networks.keras_file(
        shape, [*layers, networks.FLATTEN, networks.dense(3)], lambda s: random.normal(0, 0.3, s)
    )
    model = read_model(file)
    built.set_weights(
        [
            layer.weights[key]
            for layer in model.layers
            for key in ("kernel", "bias")
            if key in layer.weights
        ]
    )
    x = random.uniform(-1, 1, (6, *shape)).astype(np.float32)
    program = compile_model(model, Wanted()).program
    assert np.abs(execute(program, x) - built(x).numpy()).max() <= 1e-5
    assert np.abs(execute_fixed(program, x, random) - built(x).numpy()).max() <= 2e-4


def functional() -> Any:
    """Pools and rectifies before any weight; sizes, windows and strides that are not square;
    dropout; ends in a pooling that is no power of two.
    """
    k = tf_keras.layers
    x = first = tf_keras.Input((23, 20, 2))
    chain = (
        k.AveragePooling2D((2, 1)), k.ReLU(), k.Conv2D(6, 1), k.Activation("relu"),
        k.Conv2D(8, (3, 2), strides=(1, 2)), k.AveragePooling2D((3, 2), strides=(1, 2)),
        k.Dropout(0.5), k.Activation("linear"), k.Flatten(),
        k.Dense(4, activation="relu"), k.Dense(3),
    )  # fmt: skip
    for layer in chain:
        x = layer(x)
    return tf_keras.Model(first, x)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, np.ndarray, np.ndarray]:
    """A file that Keras wrote itself, inputs, and Keras's logits."""
    model = functional()
    random = np.random.default_rng(8)
    model.set_weights([random.normal(0, 0.3, w.shape) for w in model.get_weights()])
    path = tmp_path_factory.mktemp("keras") / "model.h5"
    with pytest.warns(UserWarning, match="legacy"):
        model.save(path, include_optimizer=False)
    x = random.uniform(-1, 1, (5, 23, 20, 2)).astype(np.float32)
    return path.read_bytes(), x, model(x).numpy()


def test_a_functional_model_that_keras_saved_agrees(
    saved: tuple[bytes, np.ndarray, np.ndarray],
) -> None:
    file, x, expected = saved
    assert (
        np.abs(execute(compile_model(read_model(file), Wanted()).program, x) - expected).max()
        <= 1e-5
    )


@pytest.fixture(scope="module")
def secure_nn(
    tmp_path_factory: pytest.TempPathFactory, saved: tuple[bytes, np.ndarray, np.ndarray]
) -> dict[str, np.ndarray]:
    """SecureNN's logits by network. In a process of its own: it replaces parts of TensorFlow."""
    folder = tmp_path_factory.mktemp("oracle")
    cases = {
        name: (networks.make(name).file, networks.make(name).inputs) for name in networks.NAMES
    } | {"functional": saved[:2]}
    for name, (file, inputs) in cases.items():
        (folder / f"{name}.h5").write_bytes(file)
        np.save(folder / f"{name}.npy", inputs[:ORACLE_ROWS])
    subprocess.run(
        [sys.executable, str(ORACLE), str(folder)], check=True, timeout=300, capture_output=True
    )
    return {name: np.load(folder / f"{name}.logits.npy") for name in cases}


@pytest.mark.parametrize("name", networks.NAMES)
def test_the_lowering_agrees_with_tf_encrypteds_secure_nn(
    name: str, secure_nn: dict[str, np.ndarray]
) -> None:
    network = networks.make(name)
    ours = execute(
        compile_model(read_model(network.file), Wanted()).program, network.inputs[:ORACLE_ROWS]
    )
    assert np.abs(secure_nn[name] - ours).max() <= 2e-2


def test_the_functional_model_agrees_with_secure_nn(
    secure_nn: dict[str, np.ndarray], saved: tuple[bytes, np.ndarray, np.ndarray]
) -> None:
    assert np.abs(secure_nn["functional"] - saved[2][:ORACLE_ROWS]).max() <= 2e-2


@pytest.mark.parametrize("says", [{}, {"alpha": 0.01}, {"negative_slope": 0.5}, {"alpha": 1.0}])
def test_a_leaky_relu_agrees_with_keras(says: dict[str, float]) -> None:
    k = tf_keras.layers
    slope = next(iter(says.values()), 0.3)
    built = tf_keras.Sequential(
        [
            k.InputLayer((8, 7, 2)),
            k.Conv2D(5, 3),
            k.LeakyReLU(slope),
            k.MaxPooling2D(2),
            k.LeakyReLU(slope),
            k.Flatten(),
            k.Dense(3),
        ]
    )
    leaky, random = ("LeakyReLU", dict(says)), np.random.default_rng(8)
    layers = [networks.conv(5), leaky, networks.max_pool(), leaky, networks.FLATTEN]
    file = networks.keras_file(
        (8, 7, 2), [*layers, networks.dense(3)], lambda s: random.normal(0, 0.3, s)
    )
    model = read_model(file)
    kernels = [
        layer.weights[k] for layer in model.layers for k in ("kernel", "bias") if layer.weights
    ]
    built.set_weights(kernels)

    x = random.uniform(-1, 1, (6, 8, 7, 2)).astype(np.float32)
    expected = built(x).numpy()
    program = compile_model(model, Wanted()).program
    assert np.abs(execute(program, x) - expected).max() <= 1e-5
    assert np.abs(execute_fixed(program, x, random) - expected).max() <= 2e-4


@pytest.mark.parametrize("slope", [-0.1, 1.5, "steep", [0.3]])
def test_another_slope_of_a_leaky_relu_is_refused_by_name(slope: object) -> None:
    layers = [networks.dense(4), ("LeakyReLU", {"alpha": slope}), networks.dense(3)]
    file = networks.keras_file((6,), layers, np.zeros)
    with pytest.raises(ShareError, match=r"'leakyrelu_1' \(LeakyReLU\) has alpha .*from 0 to 1"):
        compile_model(read_model(file), Wanted())


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
def test_batch_normalisation_agrees_with_keras(case: str, tmp_path: Path) -> None:
    layers = {**NORMALISED, **ALONE}[case]
    model = tf_keras.Sequential([k.InputLayer((8, 7, 2)), *layers, k.Dense(3)])
    random = np.random.default_rng(4)
    for layer in model.layers:
        weights = [random.normal(0, 0.4, w.shape) for w in layer.get_weights()]
        if isinstance(layer, k.BatchNormalization):
            weights[-1] = random.uniform(0.3, 2, weights[-1].shape)
        layer.set_weights(weights)
    with pytest.warns(UserWarning, match="legacy"):
        model.save(tmp_path / "model.h5", include_optimizer=False)
    x = random.uniform(-1, 1, (5, 8, 7, 2)).astype(np.float32)

    program = compile_model(read_model((tmp_path / "model.h5").read_bytes()), Wanted()).program
    assert np.abs(execute(program, x) - model(x).numpy()).max() <= 1e-5
    assert np.abs(execute_fixed(program, x, random) - model(x).numpy()).max() <= 5e-4
    products = sum(line.op.name in ("conv2d", "matmul") for line in program.instructions)
    own = sum(isinstance(layer, (k.Conv2D, k.Dense)) for layer in model.layers)
    assert products == own + (case in ALONE)
