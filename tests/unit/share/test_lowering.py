"""Graphs: what is lowered, what is left to the client, what is refused; operations between layers.

Models are built by Keras, saved and read.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # read when TensorFlow is imported

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import networks
from securemodel_share.compile import record
from securemodel_share.errors import ShareError
from securemodel_share.execute import execute
from securemodel_share.layers import LAYERS
from securemodel_share.lowering import check, findings, public_functions, used
from securemodel_share.model import Layer, Model
from securemodel_share.readers import read_here

if TYPE_CHECKING:
    from collections.abc import Callable

VERSIONS = {"Keras 2": tf_keras, "Keras 3": keras}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def erf(x: np.ndarray) -> np.ndarray:
    return np.asarray(tf.math.erf(x))


# the words of contract/functions.json, as docs/program.md has them
WORDS: dict[str, Callable[..., np.ndarray]] = {
    "softmax": softmax,
    "log_softmax": lambda x, axis: np.log(softmax(x, axis)),
    "sigmoid": sigmoid,
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hard_sigmoid_2": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "exponential": np.exp,
    "elu": lambda x, alpha: np.where(x > 0, x, float(alpha) * np.expm1(np.minimum(x, 0))),
    "selu": lambda x: 1.05070098 * np.where(x > 0, x, 1.67326324 * np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    "swish": lambda x: x * sigmoid(x),
    "log_sigmoid": lambda x: -np.logaddexp(-x, 0),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
}


def answer(model: Any, x: np.ndarray, suffix: str = "h5") -> np.ndarray:
    """What a client gets: the program, then the functions that are left to it."""
    read = read_here(networks.saved(model, suffix))
    y = execute(networks.program(networks.saved(model, suffix)), x)
    for function in public_functions(read):
        takes = {key: value for key, value in function.items() if key != "function"}
        y = WORDS[function["function"]](y, **takes)
    return y


def functions(model: Any, suffix: str = "h5") -> list[dict[str, Any]]:
    read = read_here(networks.saved(model, suffix))
    check(read)
    return public_functions(read)


def inputs(model: Any) -> np.ndarray:
    shape = (4, *model.inputs[0].shape[1:])
    return np.random.default_rng(3).uniform(-1, 1, shape).astype(np.float32)


def agrees(model: Any, suffix: str = "h5") -> None:
    networks.draw(model, 0.6)
    x = inputs(model)
    expected = np.asarray(model(x, training=False))
    found = answer(model, x, suffix)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2e-5 * max(1.0, np.abs(expected).max())


def chain(version: str, *layers: Any, shape: tuple[int, ...] = (5,)) -> Any:
    k = VERSIONS[version]
    return k.Sequential([k.Input(shape), *layers])


# every function that the two know, by the word that the client applies; none: on shares
ENDS = {
    "Keras 2": {
        "softmax": "softmax", "log_softmax": "log_softmax", "sigmoid": "sigmoid",
        "hard_sigmoid": "hard_sigmoid_2", "tanh": "tanh", "softplus": "softplus",
        "softsign": "softsign", "exponential": "exponential", "elu": "elu", "selu": "selu",
        "gelu": "gelu", "swish": "swish", "mish": "mish", "relu": None, "relu6": None,
        "leaky_relu": None, "linear": None,
    },
    "Keras 3": {
        "softmax": "softmax", "log_softmax": "log_softmax", "sigmoid": "sigmoid",
        "hard_sigmoid": "hard_sigmoid", "tanh": "tanh", "softplus": "softplus",
        "softsign": "softsign", "exponential": "exponential", "elu": "elu", "celu": "elu",
        "selu": "selu", "gelu": "gelu", "silu": "swish", "mish": "mish",
        "log_sigmoid": "log_sigmoid", "hard_silu": "hard_swish", "relu": None, "relu6": None,
        "leaky_relu": None, "hard_tanh": None, "linear": None,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("version", "name", "word"),
    [(version, *end) for version, ends in ENDS.items() for end in ends.items()],
)
@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_a_function_at_the_end_is_the_clients(
    version: str, name: str, word: str | None, suffix: str
) -> None:
    model = chain(version, VERSIONS[version].layers.Dense(4, activation=name))
    agrees(model, suffix)
    assert [f["function"] for f in functions(model, suffix)] == ([word] if word else [])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("activation", "word"), [(tf.nn.softmax, "softmax"), (tf.nn.log_softmax, "log_softmax")]
)
def test_tensorflows_own_function_is_known_by_its_name_in_the_file(
    version: str, activation: Any, word: str
) -> None:
    model = chain(version, VERSIONS[version].layers.Dense(4, activation=activation))
    agrees(model)
    assert functions(model) == [{"function": word, "axis": -1}]


def layers(version: str) -> Any:
    return VERSIONS[version].layers


# name: layers, shape of the input, the functions that are left to the client
TAILS: dict[str, tuple[Callable[[Any], list[Any]], tuple[int, ...], list[dict[str, Any]]]] = {
    "a softmax layer": (
        lambda k: [k.Dense(4), k.Softmax()],
        (5,),
        [{"function": "softmax", "axis": -1}],
    ),
    "over another axis": (
        lambda k: [k.Dense(4), k.Softmax(axis=1)],
        (3, 5),
        [{"function": "softmax", "axis": 1}],
    ),
    "on a map": (
        lambda k: [k.Conv2D(3, 2, activation="softmax")],
        (4, 5, 2),
        [{"function": "softmax", "axis": -1}],
    ),
    "with layers behind that do nothing": (
        lambda k: [k.Dense(4, activation="tanh"), k.Dropout(0.5), k.Activation("linear")],
        (5,),
        [{"function": "tanh"}],
    ),
    "two in a row": (
        lambda k: [k.Dense(4, activation="sigmoid"), k.Dropout(0.5), k.Softmax()],
        (5,),
        [{"function": "sigmoid"}, {"function": "softmax", "axis": -1}],
    ),
    "behind a ReLU": (
        lambda k: [k.Dense(4, activation="relu"), k.Activation("tanh")],
        (5,),
        [{"function": "tanh"}],
    ),
    "before a layer that flattens": (
        lambda k: [k.Conv2D(2, 2, activation="sigmoid"), k.Flatten()],
        (4, 5, 2),
        [{"function": "sigmoid"}],
    ),
    "before layers that move": (
        lambda k: [
            *(k.Conv2D(2, 2, activation="tanh"), k.Cropping2D(((1, 0), (0, 2)))),
            *(k.Permute((3, 1, 2)), k.Reshape((-1, 4)), k.Activation("exponential")),
        ],
        (4, 5, 2),
        [{"function": "tanh"}, {"function": "exponential"}],
    ),
    "a softmax after what moves": (
        lambda k: [k.Dense(8, activation="sigmoid"), k.Reshape((2, 4)), k.Softmax()],
        (5,),
        [{"function": "sigmoid"}, {"function": "softmax", "axis": -1}],
    ),
    "with a number": (
        lambda k: [k.Dense(4), k.ELU(0.25)],
        (5,),
        [{"function": "elu", "alpha": "0.25"}],
    ),
    "a layer as an activation": (
        lambda k: [k.Dense(4, activation=k.ELU(0.5))],
        (5,),
        [{"function": "elu", "alpha": "0.5"}],
    ),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", TAILS)
def test_the_end_of_a_model_is_the_clients(case: str, version: str) -> None:
    build, shape, wanted = TAILS[case]
    model = chain(version, *build(layers(version)), shape=shape)
    agrees(model)
    assert functions(model) == wanted


INSIDE: dict[str, tuple[Callable[[Any], list[Any]], tuple[int, ...], str, str]] = {
    "a softmax": (
        lambda k: [k.Dense(4, activation="softmax", name="one"), k.Dense(2)],
        (5,),
        "one",
        "softmax",
    ),
    "a tanh layer": (
        lambda k: [k.Dense(4), k.Activation("tanh", name="one"), k.Dense(2)],
        (5,),
        "one",
        "tanh",
    ),
    "before a ReLU": (
        lambda k: [k.Dense(4, activation="sigmoid", name="one"), k.ReLU()],
        (5,),
        "one",
        "sigmoid",
    ),
    "before a pooling": (
        lambda k: [k.Conv1D(4, 2, activation="elu", name="one"), k.AveragePooling1D(2)],
        (5, 2),
        "one",
        "elu",
    ),
    "before zeros": (
        lambda k: [k.Conv1D(4, 2, activation="exponential", name="one"), k.ZeroPadding1D(1)],
        (5, 2),
        "one",
        "exponential",
    ),
    "a softmax that is moved": (
        lambda k: [k.Dense(4, activation="softmax", name="one"), k.Reshape((2, 2))],
        (5,),
        "one",
        "softmax",
    ),
}


@pytest.mark.parametrize("case", INSIDE)
def test_a_function_inside_the_network_is_refused_by_name(case: str) -> None:
    build, shape, layer, name = INSIDE[case]
    model = chain("Keras 2", *build(tf_keras.layers), shape=shape)
    (finding,) = findings(read_here(networks.saved(model)))
    assert (finding.layer, finding.reason) == (layer, "UnsupportedLayer")
    assert f"the function {name!r} inside the network" in finding.problem
    assert "ReLU or LeakyReLU there and train again" in finding.advice
    assert "without" not in finding.message


def test_functions_on_two_branches_are_inside_the_network() -> None:
    k = tf_keras.layers
    x = tf_keras.Input((4,))
    both = [k.Dense(2, activation="tanh", name="a")(x), k.Dense(2, activation="tanh", name="b")(x)]
    found = findings(read_here(networks.saved(tf_keras.Model(x, k.Add()(both)))))
    assert [finding.layer for finding in found] == ["a", "b"]


def test_an_axis_that_the_output_has_not_is_refused(refused: Callable[..., None]) -> None:
    data = networks.keras_file((4,), [networks.dense(3), ("Softmax", {"axis": 2})], np.ones)
    words = ("'softmax_1' (Softmax)", "(3,): it has the function softmax over axis 2")
    refused(lambda: record(read_here(data)), "InvalidModel", *words)


def test_hard_sigmoid_is_that_of_the_version_which_must_be_known() -> None:
    layer = Layer(
        kind="Dense",
        name="d",
        config={"units": 1, "activation": "hard_sigmoid"},
        weights={"kernel": np.ones((2, 1)), "bias": np.ones(1)},
    )
    words = {}
    for version in ("2.15.0", "3.5.0", ""):
        model = Model(
            name="m",
            input_shape=(2,),
            layers=(layer,),
            inputs=("d",),
            outputs=("d",),
            keras=version,
        )
        words[version] = public_functions(model)[0]["function"]
        found = [finding.problem for finding in findings(model)]
        assert bool(found) == (version == "")
    assert words["2.15.0"] == "hard_sigmoid_2"
    assert words["3.5.0"] == "hard_sigmoid"
    assert "does not say which of them wrote it" in found[0]


def several(version: str, what: str) -> Any:
    k = VERSIONS[version]
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    one, other = k.layers.Dense(2, name="one"), k.layers.Dense(2, name="other")
    if what == "input":
        return k.Model([a, b], k.layers.Add()([one(a), other(b)]))
    return k.Model(a, [one(a), other(a)])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("what", "names"), [("input", "'a', 'b'"), ("output", "'one', 'other'")])
def test_several_inputs_or_outputs_are_refused_in_plain_words(
    what: str, names: str, version: str, refused: Callable[..., None]
) -> None:
    model = read_here(networks.saved(several(version, what)))
    says = (f"the model has two {what}s ({names})", "keras.Model(input, output)")
    refused(lambda: check(model), "UnsupportedLayer", *says)


def dense(name: str, *inputs: str, kind: str = "Dense") -> Layer:
    weights = {"kernel": np.ones((2, 2)), "bias": np.ones(2)} if kind == "Dense" else {}
    config = {"units": 2} if kind == "Dense" else {}
    return Layer(kind=kind, name=name, config=config, weights=weights, inputs=inputs)


def model_of(*layers: Layer, inputs: tuple[str, ...] = ("x",), output: str = "y") -> Model:
    return Model(name="m", input_shape=(2,), layers=layers, inputs=inputs, outputs=(output,))


INPUT = dense("x", kind="InputLayer")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (model_of(INPUT, dense("y", "z")), ("'y' (Dense) reads 'z', which no layer before it",)),
        (model_of(INPUT, dense("y")), ("'y' (Dense) reads nothing and is not the model's input",)),
        (
            model_of(INPUT, dense("y", "x"), inputs=("y",)),
            ("'x' (InputLayer) reads nothing and is not", "'y' (Dense) reads layers and is"),
        ),
        (model_of(INPUT, dense("y", "x"), output="z"), ("does not depend on 'x'", "on 'z'")),
        (
            model_of(INPUT, dense("z", "x"), dense("y", "x", "z")),
            ("'y' (Dense) reads 2 values ('x', 'z')",),
        ),
    ],
)
def test_a_graph_that_is_none_is_refused_by_name(model: Model, says: tuple[str, ...]) -> None:
    found = "\n".join(finding.message for finding in findings(model))
    for text in says:
        assert text in found


def nested(depth: int) -> Any:
    """An activation that is an Activation layer with an activation, and so on."""
    value: Any = "relu"
    for _ in range(depth):
        value = {"class_name": "Activation", "config": {"name": "a", "activation": value}}
    return value


@pytest.mark.parametrize("depth", [1, 3])
def test_an_activation_of_activations_is_understood(depth: int) -> None:
    layer = Layer(kind="Activation", name="y", config={"activation": nested(depth)}, inputs=("z",))
    model = model_of(INPUT, dense("z", "x"), layer)
    assert not findings(model)
    assert [line.op.name for line in record(model).nodes][-2:] == ["relu", "output"]


def test_what_is_nested_too_deeply_is_refused_by_name() -> None:
    layer = Layer(kind="Activation", name="y", config={"activation": nested(450)}, inputs=("z",))
    (finding,) = findings(model_of(INPUT, dense("z", "x"), layer))
    assert "'y' (Activation) has a configuration that is nested too deeply" in finding.message


ODD: list[Any] = [
    *(None, True, -1, 0, 1.5, 10**30, float("inf"), "x", [], [1], ["a"], [1, 2], [[1, 2], [3]]),
    *({}, {"a": 1}, {"class_name": {}, "config": {}}, {"class_name": "ReLU", "config": []}),
    *({"class_name": "function", "config": {}}, {"class_name": "__numpy__", "config": {}}),
]


@pytest.mark.parametrize("kind", LAYERS)
def test_whatever_a_configuration_says_is_understood_or_refused(kind: str) -> None:
    for key in LAYERS[kind].settings:
        for value in ODD:
            layer = Layer(kind=kind, name="y", config={key: value}, inputs=("x",))
            findings(model_of(INPUT, layer))


@pytest.mark.parametrize(
    "value", [{"class_name": "__numpy__"}, {"config": 3}, [[1], [1, 2]], {"value": "x"}, True, []]
)
def test_numbers_that_are_none_are_refused_by_name(value: Any) -> None:
    layer = Layer(kind="Rescaling", name="y", config={"scale": value}, inputs=("z",))
    (finding,) = findings(model_of(INPUT, dense("z", "x"), layer))
    assert "'y' (Rescaling) cannot have scale" in finding.message
    assert "is not a number or an array of numbers" in finding.message


def test_what_the_output_does_not_depend_on_is_left_out() -> None:
    aside = dense("aside", "x", kind="LSTM")
    model = model_of(INPUT, aside, dense("y", "x"), dense("more", "aside"))
    assert [layer.name for layer in used(model)] == ["x", "y"]
    assert not findings(model)


def test_findings_of_functions_and_of_layers_come_at_once() -> None:
    k = tf_keras.layers
    model = chain(
        "Keras 2",
        k.Dense(4, activation="tanh", name="inside"),
        k.UnitNormalization(name="unit"),
        k.Dense(4, activation="softmax", name="end"),
        k.LayerNormalization(name="last"),
    )
    found = findings(read_here(networks.saved(model)))
    assert [finding.layer for finding in found] == ["unit", "last", "inside"]
    assert "layer 'unit' (UnitNormalization) is not supported" in found[0].message


REFUSED = {
    "LayerNormalization": {},
    "UnitNormalization": {},
    "GroupNormalization": {"groups": 2},
    "Masking": {},
    "LSTM": {"units": 2},
    "GRU": {"units": 2},
    "Conv3D": {"filters": 2, "kernel_size": 1},
}
SHAPES = {"LSTM": (3, 4), "GRU": (3, 4), "Masking": (3, 4), "Conv3D": (2, 2, 2, 4)}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", REFUSED)
def test_other_layers_are_refused_by_name(kind: str, version: str) -> None:
    k = layers(version)
    layer = getattr(k, kind)(name="odd", **REFUSED[kind])
    model = chain(version, layer, k.Flatten(), k.Dense(2), shape=SHAPES.get(kind, (4,)))
    (finding,) = findings(read_here(networks.saved(model)))
    assert finding.layer == "odd"
    assert f"layer 'odd' ({kind}) is not supported; supported layers: docs/layers.md" in (
        finding.message
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["Multiply", "Dot"])
def test_products_of_values_are_refused_by_name(kind: str, version: str) -> None:
    k = VERSIONS[version]
    x = k.Input((4,))
    y = getattr(k.layers, kind)(name="odd", **({"axes": 1} if kind == "Dot" else {}))(
        [k.layers.Dense(2)(x), k.layers.Dense(2)(x)]
    )
    (finding,) = findings(read_here(networks.saved(k.Model(x, y))))
    assert f"layer 'odd' ({kind})" in finding.message
    assert "a product of two values" in finding.message or kind == "Dot"


Value = Any
# of a tensor of shape (3, 4); computed between layers
ARITHMETIC: dict[str, Callable[[Value], Value]] = {
    "pixels": lambda x: x / 255.0,
    "to -1 and 1": lambda x: x / 127.5 - 1,
    "a number first": lambda x: 1 - x,
    "numbers of channels": lambda x: (x - np.float32([1, 2, 3, 4])) * np.float32([1, 2, 4, 0.5]),
    "the other sign": lambda x: -x,
    "twice and itself": lambda x: 2 * x + x - (x + 3),
    "whole numbers": lambda x: x * 3 + 1,
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", ARITHMETIC)
@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_arithmetic_between_layers_agrees_with_keras(case: str, version: str, suffix: str) -> None:
    k = VERSIONS[version]
    x = k.Input((3, 4))
    agrees(k.Model(x, k.layers.Dense(2)(ARITHMETIC[case](x))), suffix)


OPERATIONS: dict[str, dict[str, Callable[[Value], Value]]] = {
    "Keras 2": {
        "relu": tf.nn.relu,
        "relu6": tf.nn.relu6,
        "softmax": lambda x: tf.nn.softmax(x, axis=1),
        "sigmoid": tf.sigmoid,
        "tanh": tf.tanh,
        "add": lambda x: tf.add(x, 2.0),
        "subtract": lambda x: tf.subtract(2.0, x),
        "divide": lambda x: tf.divide(x, 2.0),
    },
    "Keras 3": {
        "relu": keras.ops.relu,
        "relu6": keras.ops.relu6,
        "softmax": lambda x: keras.ops.softmax(x, axis=1),
        "sigmoid": keras.ops.sigmoid,
        "tanh": keras.ops.tanh,
        "a capped relu": lambda x: keras.activations.relu(x, max_value=0.5),
        "add": lambda x: keras.ops.add(x, 2.0),
        "subtract": lambda x: keras.ops.subtract(2.0, x),
        "divide": lambda x: keras.ops.divide(x, 2.0),
        "negative": keras.ops.negative,
    },
}


@pytest.mark.parametrize(
    ("version", "case"), [(v, case) for v, cases in OPERATIONS.items() for case in cases]
)
@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_operations_at_the_end_agree_with_keras(version: str, case: str, suffix: str) -> None:
    k = VERSIONS[version]
    x = k.Input((3, 4))
    agrees(k.Model(x, OPERATIONS[version][case](k.layers.Dense(2)(x))), suffix)


NOT_COMPUTED: dict[str, tuple[dict[str, Callable[[Value], Value]], str]] = {
    "a product of values": (
        {"Keras 2": lambda x: x * x, "Keras 3": lambda x: x * x},
        "a product of two values is not supported",
    ),
    "a quotient of values": (
        {"Keras 2": lambda x: x / x, "Keras 3": lambda x: x / x},
        "divided by numbers that are not 0",
    ),
    "a number divided": (
        {"Keras 2": lambda x: 1 / x, "Keras 3": lambda x: 1 / x},
        "divided by numbers that are not 0",
    ),
    "a division by 0": (
        {"Keras 2": lambda x: x / 0.0, "Keras 3": lambda x: x / 0.0},
        "divided by numbers that are not 0",
    ),
    "another operation": (
        {"Keras 2": tf.square, "Keras 3": keras.ops.square},
        "square",
    ),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", NOT_COMPUTED)
def test_operations_that_are_not_computed_are_refused(case: str, version: str) -> None:
    operations, words = NOT_COMPUTED[case]
    k = VERSIONS[version]
    x = k.Input((4,))
    model = k.Model(x, k.layers.Dense(2)(operations[version](x)))
    (finding,) = findings(read_here(networks.saved(model)))
    assert finding.reason == "UnsupportedLayer"
    assert words.lower() in finding.message.lower()


MISFITS: dict[str, tuple[list[tuple[str, dict[str, Any]]], tuple[int, ...], str]] = {
    "a reshape of another size": (
        [networks.dense(3), ("Reshape", {"target_shape": [2, 2]})],
        (4,),
        "'reshape_1' (Reshape) does not fit its input of shape (3,): it makes (2, 2) of it",
    ),
    "a reshape that does not divide": (
        [networks.dense(3), ("Reshape", {"target_shape": [2, -1]})],
        (4,),
        "it makes (2, -1) of it",
    ),
    "an order of other axes": (
        [networks.dense(3), ("Permute", {"dims": [2, 1]})],
        (4,),
        "(3,): it orders the axes (2, 1)",
    ),
    "a pooling larger than the image": (
        [networks.conv(2, 1), networks.pool(5)],
        (4, 4, 1),
        "(4, 4, 2): its window is (5, 5)",
    ),
    "all that is cropped": (
        [("Cropping2D", {"cropping": 2}), networks.FLATTEN, networks.dense(1)],
        (4, 4, 1),
        "(4, 4, 1): it crops",
    ),
    "a sequence for images": (
        [("UpSampling2D", {"size": 2}), networks.FLATTEN, networks.dense(1)],
        (4, 4),
        "(4, 4): it takes images, (height, width, channels)",
    ),
    "an image for sequences": (
        [("UpSampling1D", {"size": 2}), networks.FLATTEN, networks.dense(1)],
        (4, 4, 1),
        "(4, 4, 1): it takes sequences, (steps, channels)",
    ),
    "a repeated image": (
        [("RepeatVector", {"n": 2}), networks.FLATTEN, networks.dense(1)],
        (4, 1),
        "(4, 1): it takes vectors",
    ),
    "numbers of other channels": (
        [("Rescaling", {"scale": [1.0, 2.0], "offset": 0}), networks.dense(1)],
        (3,),
        "(3,): its numbers are of shape (2,)",
    ),
    "a vector repeated without end": (
        [networks.dense(3), ("RepeatVector", {"n": 10**30})],
        (4,),
        "'repeatvector_1' (RepeatVector) does not fit its input of shape (3,): an axis would be",
    ),
    "pixels repeated without end": (
        [networks.conv(1, 1), ("UpSampling2D", {"size": 10**9})],
        (4, 4, 1),
        "an axis would be 4000000000 long",
    ),
    "pixels between pixels without end": (
        [networks.conv(1, 1), ("UpSampling2D", {"size": 10**9, "interpolation": "bilinear"})],
        (4, 4, 1),
        "an axis would be 4000000000 long",
    ),
    "zeros without end": (
        [networks.conv(1, 1), ("ZeroPadding2D", {"padding": 10**12})],
        (4, 4, 1),
        "an axis would be 2000000000004 long",
    ),
    "more values than any network": (
        [networks.conv(1, 1), ("UpSampling2D", {"size": 4096})],
        (4, 4, 1),
        "(4, 4, 1): it gives 268,435,456 values",
    ),
    "a crop of another size": (
        [("RandomCrop", {"height": 2, "width": 3}), networks.FLATTEN, networks.dense(1)],
        (4, 3, 1),
        "(4, 3, 1): it crops to 2 x 3",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_layer_that_does_not_fit_names_itself_and_the_shape(
    case: str, refused: Callable[..., None]
) -> None:
    layers, shape, words = MISFITS[case]
    data = networks.keras_file(shape, layers, np.ones)
    refused(lambda: record(read_here(data)), "InvalidModel", words, "check the model's input shape")


def test_operands_that_do_not_fit_name_all_shapes(refused: Callable[..., None]) -> None:
    wide = Layer(
        kind="Dense",
        name="wide",
        config={"units": 3},
        weights={"kernel": np.ones((2, 3)), "bias": np.ones(3)},
        inputs=("x",),
    )
    join = dense("y", "z", "wide", kind="Add")
    model = model_of(INPUT, dense("z", "x"), wide, join)
    says = ("'y' (Add) does not fit its inputs (2,), (3,): its operands differ in axis 1",)
    refused(lambda: record(model), "InvalidModel", *says)


def test_the_same_weights_of_a_layer_that_is_called_twice_are_used_twice() -> None:
    k = tf_keras.layers
    x = tf_keras.Input((3,))
    layer = k.Dense(3, activation="relu", name="twice")
    model = tf_keras.Model(x, k.Dense(2)(layer(layer(x))))
    agrees(model)
    read = read_here(networks.saved(model))
    once, again = (layer for layer in read.layers if layer.name.startswith("twice"))
    assert (once.name, again.name) == ("twice", "twice (call 2)")
    assert once.weights["kernel"] is again.weights["kernel"]


@pytest.mark.parametrize("version", VERSIONS)
def test_augmentation_changes_nothing_at_inference(version: str) -> None:
    k = layers(version)
    names = ("RandomFlip", "RandomRotation", "RandomZoom", "RandomContrast", "RandomTranslation")
    arguments = {"RandomFlip": (), "RandomTranslation": (0.2, 0.2)}
    augmented = [getattr(k, name)(*arguments.get(name, (0.2,))) for name in names]
    model = chain(version, *augmented, k.Flatten(), k.Dense(2), shape=(4, 4, 3))
    agrees(model)


def test_a_model_with_nothing_secret_is_refused() -> None:
    with pytest.raises(ShareError, match=r"no layer with weights .*Conv2D.*Dense.*PReLU"):
        check(model_of(INPUT, dense("y", "x", kind="ReLU")))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_lambda_as_activation_is_called_one(version: str) -> None:
    k = VERSIONS[version]
    layers = [k.Input((4,)), k.layers.Dense(3, activation=lambda x: x * 2)]
    (found,) = findings(read_here(networks.saved(k.Sequential(layers))))
    assert "has a lambda as activation, which is code and is not run" in found.message


@pytest.mark.parametrize("version", VERSIONS)
def test_an_input_of_integers_says_what_to_do(version: str) -> None:
    k = VERSIONS[version]
    layers = [k.Input((4,), dtype="uint8"), k.layers.Rescaling(1 / 255), k.layers.Dense(3)]
    (found,) = findings(read_here(networks.saved(k.Sequential(layers))))
    assert "Input of dtype float32" in found.message
    assert "quantis" not in found.message
