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
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import networks
import reference
from securemodel_share.execute import execute, execute_fixed

ORACLE = Path(__file__).parents[2] / "support" / "oracle.py"
# rows that SecureNN gets: it is slow
ORACLE_ROWS = 4
VERSIONS = {"Keras 2": tf_keras, "Keras 3": keras}


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


def chain(version: str, shape: tuple[int, ...], *layers: Any, seed: int = 1) -> Any:
    """Layers in a row, with random weights, and a matrix at the end: something to keep secret."""
    k = VERSIONS[version]
    model = k.Sequential([k.Input(shape), *layers, k.layers.Dense(2)])
    networks.draw(model, 0.5, seed)
    return model


def few(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, most)


def pairs(axes: int, least: int, most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[few(least, most)] * axes)


@st.composite
def convolutions(draw: Any, version: str, kind: str) -> tuple[str, dict[str, Any], tuple[int, ...]]:
    """A layer of the family, its arguments, and the shape of its input."""
    axes = draw(st.sampled_from([1, 2]))
    size, kernel = draw(pairs(axes, 1, 9)), draw(pairs(axes, 1, 4))
    given: dict[str, Any] = {"kernel_size": kernel, "use_bias": draw(st.booleans())}
    given["padding"] = draw(st.sampled_from(["valid", "same"]))
    if kind == "Conv" and axes == 1 and draw(st.booleans()):
        given["padding"] = "causal"
    strides = draw(pairs(axes, 1, 4))
    # TensorFlow has one stride for both axes there, and strides or dilation
    given["strides"] = strides if kind in ("Conv", "Transpose") else strides[0]
    if draw(st.booleans()):
        given |= {"strides": 1, "dilation_rate": draw(few(2, 3))}
    groups = draw(few(1, 2))
    channels = groups * draw(few(1, 2))
    if kind == "Conv":
        given["groups"] = groups
    if kind in ("DepthwiseConv", "SeparableConv"):
        given["depth_multiplier"] = draw(few(1, 2))
    if kind != "DepthwiseConv":
        given["filters"] = groups * draw(few(1, 2))
    if kind == "Transpose" and max(strides) > 1 and draw(st.booleans()):
        given["output_padding"] = tuple(draw(few(0, s - 1)) for s in strides)
    given["activation"] = draw(st.sampled_from(["linear", "relu", "relu6", "leaky_relu"]))
    shape = (*size, channels)
    if version == "Keras 3" and draw(st.booleans()):
        # Keras 3.15 adds a bias along the last axis where that is as long as there are channels
        given |= {"data_format": "channels_first", "use_bias": False}
        shape = (channels, *size)
    return _named(kind, axes), given, shape


def _named(kind: str, axes: int) -> str:
    return f"Conv{axes}DTranspose" if kind == "Transpose" else f"{kind}{axes}D"


@st.composite
def poolings(draw: Any, version: str, kind: str) -> tuple[str, dict[str, Any], tuple[int, ...]]:
    axes = draw(st.sampled_from([1, 2]))
    kind = draw(st.sampled_from(["GlobalMax", "GlobalAverage"])) if kind == "Global" else kind
    shape: tuple[int, ...] = (*draw(pairs(axes, 1, 8)), draw(few(1, 3)))
    given: dict[str, Any] = {"keepdims": draw(st.booleans())}
    if not kind.startswith("Global"):
        size = draw(pairs(axes, 1, 4))
        given = {"pool_size": size if axes == 2 else size[0]}
        given["strides"] = draw(st.none() | few(1, 4))
        given["padding"] = draw(st.sampled_from(["valid", "same"]))
    if version == "Keras 3" and draw(st.booleans()):
        given["data_format"], shape = "channels_first", (shape[-1], *shape[:-1])
    return f"{kind}Pooling{axes}D", given, shape


@st.composite
def movers(draw: Any, _version: str, _kind: str) -> tuple[str, dict[str, Any], tuple[int, ...]]:
    shape = draw(pairs(3, 1, 5))
    margins = draw(pairs(2, 0, 3)), draw(pairs(2, 0, 3))
    return draw(
        st.sampled_from(
            [
                ("Flatten", {}, shape),
                ("Reshape", {"target_shape": (shape[0], -1)}, shape),
                ("Permute", {"dims": tuple(draw(st.permutations([1, 2, 3])))}, shape),
                ("RepeatVector", {"n": draw(few(1, 4))}, shape[:1]),
                ("ZeroPadding1D", {"padding": margins[0]}, shape[:2]),
                ("ZeroPadding2D", {"padding": margins}, shape),
                ("Cropping1D", {"cropping": margins[0]}, (shape[0] + 6, shape[1])),
                ("Cropping2D", {"cropping": margins}, (shape[0] + 6, shape[1] + 6, shape[2])),
                ("UpSampling1D", {"size": draw(few(1, 3))}, shape[:2]),
                ("UpSampling2D", {"size": draw(pairs(2, 1, 3))}, shape),
                (
                    "UpSampling2D",
                    {"size": draw(pairs(2, 1, 3)), "interpolation": "bilinear"},
                    shape,
                ),
            ]
        )
    )


@st.composite
def numbers(draw: Any, version: str, _kind: str) -> tuple[str, dict[str, Any], tuple[int, ...]]:
    """Layers that take each value by itself."""
    shape = draw(pairs(draw(few(1, 3)), 1, 5))
    parameters = st.floats(0.0625, 2, width=16)
    shared = draw(st.lists(few(1, len(shape)), max_size=2, unique=True))
    relu = {"max_value": draw(st.none() | parameters), "threshold": draw(st.just(0) | parameters)}
    slope = "alpha" if version == "Keras 2" else "negative_slope"
    return draw(
        st.sampled_from(
            [
                ("ReLU", relu | {"negative_slope": draw(st.just(0) | parameters)}, shape),
                ("LeakyReLU", {slope: draw(st.just(0) | st.just(1) | parameters)}, shape),
                ("PReLU", {"shared_axes": shared or None}, shape),
                ("BatchNormalization", {"axis": draw(few(1, len(shape)))}, shape),
                ("BatchNormalization", {"center": draw(st.booleans()), "scale": False}, shape),
                ("Rescaling", {"scale": draw(parameters), "offset": draw(parameters)}, shape),
                ("Rescaling", {"scale": [0.5] * shape[-1], "offset": [-0.25] * shape[-1]}, shape),
                (
                    "Normalization",
                    {"mean": draw(parameters), "variance": draw(parameters), "axis": shared},
                    shape,
                ),
                ("Dense", {"units": draw(few(1, 4)), "use_bias": draw(st.booleans())}, shape),
            ]
        )
    )


FAMILIES = {
    "Conv": convolutions,
    "DepthwiseConv": convolutions,
    "SeparableConv": convolutions,
    "Transpose": convolutions,
    "Max": poolings,
    "Average": poolings,
    "Global": poolings,
    "movers": movers,
    "numbers": numbers,
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_layers_of_any_shape_and_options_agree_with_keras(family: str, version: str) -> None:
    @settings(
        max_examples=int(os.environ.get("SECUREMODEL_EXAMPLES", "25")),
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
        database=None,
    )
    @given(FAMILIES[family](version, family))
    def run(layer: tuple[str, dict[str, Any], tuple[int, ...]]) -> None:
        kind, arguments, shape = layer
        try:
            built = getattr(VERSIONS[version].layers, kind)(**arguments)
            model = chain(version, shape, built)
            model(np.zeros((1, *shape), np.float32))
        except Exception:  # noqa: BLE001 - what Keras itself refuses
            assume(False)
        assume(0 not in model.layers[0].output.shape)
        check(model)

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


MERGING = ("Add", "Subtract", "Average", "Maximum", "Minimum", "Concatenate")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("kind", MERGING)
def test_merging_layers_agree_with_keras(kind: str, count: int, version: str) -> None:
    k = VERSIONS[version]
    x = k.Input((3, 4))
    operands = [
        k.layers.Dense(3 if i else 1 + 2 * (kind == "Concatenate"))(x) for i in range(count)
    ]
    merged = getattr(k.layers, kind)()(operands[: 2 if kind == "Subtract" else count])
    model = k.Model(x, merged)
    networks.draw(model, 0.5)
    check(model)


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
