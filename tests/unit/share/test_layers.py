"""What a model file says is understood or refused by name: configurations, weights, calls, the
backend. Nothing is passed over unless a layer declares that it may be, and why.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # read when TensorFlow is imported

import h5py
import keras
import numpy as np
import pytest
import tf_keras

import networks
from securemodel_share.compile import record
from securemodel_share.errors import ShareError
from securemodel_share.layers import LAYERS as TYPES
from securemodel_share.layers import LayerType
from securemodel_share.layers.base import COMMON, COMMON_IGNORED
from securemodel_share.layers.functions import NAMED
from securemodel_share.lowering import check, findings
from securemodel_share.model import Layer
from securemodel_share.readers import read_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Change = Callable[[dict[str, Any], h5py.File], None]

DOCS = Path(__file__).parents[3] / "docs/layers.md"

LAYERS = [
    networks.conv(2, data_format="channels_last", dilation_rate=[1, 1], groups=1),
    networks.RELU,
    ("Dropout", {"rate": 0.3, "seed": None, "noise_shape": None}),
    networks.FLATTEN,
    networks.dense(3),
]
INPUT, CONV, RELU, DROPOUT, FLATTEN, DENSE = range(6)


def made(*changes: Change, keras: int = 2) -> bytes:
    """A small model's file after changes to its configuration and to the file."""
    random = np.random.default_rng(2)
    shape = (6, 6, 1)
    data = networks.keras_file(shape, LAYERS, lambda s: random.normal(0, 0.3, s), keras=keras)
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for change in changes:
            change(config, file)
        file.attrs["model_config"] = json.dumps(config)
    return buffer.getvalue()


def entry(config: dict[str, Any], at: int) -> dict[str, Any]:
    return config["config"]["layers"][at]


def says(at: int, **statements: Any) -> Change:
    """The configuration of a layer says these things."""
    return lambda config, _file: entry(config, at)["config"].update(statements)


def comes_with(at: int, **statements: Any) -> Change:
    """A layer's entry says these things beside its configuration."""
    return lambda config, _file: entry(config, at).update(statements)


def model_says(**statements: Any) -> Change:
    return lambda config, _file: config["config"].update(statements)


def noted(**attributes: str) -> Change:
    """Attributes of the file."""
    return lambda _config, file: file.attrs.update(attributes)


def noted_with_weights(**attributes: str) -> Change:
    return lambda _config, file: file["model_weights"].attrs.update(attributes)


def stores(layer: str, **weights: Any) -> Change:
    """The file has these weights, more than there were or in place of them."""

    def change(_config: dict[str, Any], file: h5py.File) -> None:
        group = file["model_weights"].require_group(layer)
        names = [str(np.bytes_(n), "utf8") for n in group.attrs.get("weight_names", [])]
        for short, value in weights.items():
            path = f"{layer}/{short}:0"
            if path in names:
                del group[path]
            else:
                names.append(path)
            group.create_dataset(path, data=value)
        group.attrs["weight_names"] = [n.encode() for n in names]

    return change


def functional(keras: int) -> Change:
    """The same layers as a Functional model."""

    def change(config: dict[str, Any], _file: h5py.File) -> None:
        layers = config["config"]["layers"]
        names = [layer["config"]["name"] for layer in layers]
        for before, layer in zip([None, *names], layers, strict=False):
            layer["name"] = layer["config"]["name"]
            if before is None:
                layer["inbound_nodes"] = []
            elif keras == 2:
                layer["inbound_nodes"] = [[[before, 0, 0, {}]]]
            else:
                tensor = {
                    "class_name": "__keras_tensor__",
                    "config": {"keras_history": [before, 0, 0]},
                }
                layer["inbound_nodes"] = [{"args": [tensor], "kwargs": {}}]
        config["class_name"] = "Functional"
        config["config"]["input_layers"] = [[names[0], 0, 0]]
        config["config"]["output_layers"] = [[names[-1], 0, 0]]

    return change


def called(at: int, **arguments: Any) -> Change:
    """A layer of a Functional model is called with more arguments."""

    def change(config: dict[str, Any], _file: h5py.File) -> None:
        node = entry(config, at)["inbound_nodes"][0]
        (node["kwargs"] if isinstance(node, dict) else node[0][3]).update(arguments)

    return change


def reads_also(at: int, *reference: Any) -> Change:
    return lambda config, _file: entry(config, at)["inbound_nodes"][0].append([*reference, {}])


def positional(at: int, value: Any) -> Change:
    def change(config: dict[str, Any], _file: h5py.File) -> None:
        entry(config, at)["inbound_nodes"][0]["args"].append(value)

    return change


def policy(kind: str, **config: Any) -> dict[str, Any]:
    return {"module": "keras", "class_name": kind, "config": config, "registered_name": None}


INT8 = policy("QuantizedDTypePolicy", mode="int8", source_name="float32")
FLOAT8 = policy("QuantizedFloat8DTypePolicy", mode="float8", source_name="float32")
UNSUPPORTED, INVALID = "UnsupportedLayer", "InvalidModel"
DENSE_4, CONV_0 = "layer 'dense_4' (Dense)", "layer 'conv2d_0' (Conv2D)"

# name: changes, reason, what the message says
REFUSED: dict[str, tuple[list[Change], str, tuple[str, ...]]] = {
    "an int8 policy": ([says(DENSE, dtype=INT8)], UNSUPPORTED, (DENSE_4, "int8", "float32")),
    "a float8 policy": ([says(CONV, dtype=FLOAT8)], UNSUPPORTED, (CONV_0, "float8")),
    "a policy of no form": (
        [says(DENSE, dtype={"class_name": "Policy", "config": "float32"})],
        UNSUPPORTED,
        (DENSE_4, "dtype policy"),
    ),
    "a shape of no numbers": (
        [says(INPUT, batch_input_shape=[None, True])],
        INVALID,
        ("is not fixed",),
    ),
    "a map of policies": (
        [says(DENSE, dtype=policy("DTypePolicyMap", default_policy="float32"))],
        UNSUPPORTED,
        (DENSE_4, "DTypePolicyMap"),
    ),
    "a policy of integers": ([says(DENSE, dtype="int32")], UNSUPPORTED, (DENSE_4, "'int32'")),
    "a quantisation": (
        [says(DENSE, quantization_config=policy("Int8QuantizationConfig", a=1))],
        UNSUPPORTED,
        (DENSE_4, "quantization_config Int8QuantizationConfig", "before it is quantised"),
    ),
    "the scale of an integer kernel": (
        [stores("dense_4", kernel_scale=np.ones(3))],
        UNSUPPORTED,
        (DENSE_4, "'kernel_scale'"),
    ),
    "weights of an adapter": (
        [stores("dense_4", lora_kernel_a=np.ones((32, 2)), lora_kernel_b=np.ones((2, 3)))],
        UNSUPPORTED,
        (DENSE_4, "'lora_kernel_a'", "adapters"),
    ),
    "the rank of an adapter": ([says(DENSE, lora_rank=2)], UNSUPPORTED, (DENSE_4, "lora_rank 2")),
    "a kernel of integers": (
        [stores("dense_4", kernel=np.ones((32, 3), "i1"))],
        UNSUPPORTED,
        (DENSE_4, "kernel of type int8"),
    ),
    "weights of a layer that has none": (
        [stores("flatten_3", scale=np.ones(1))],
        UNSUPPORTED,
        ("'flatten_3' (Flatten)", "'scale'"),
    ),
    "weights of no layer": (
        [stores("dense_9", kernel=np.ones((3, 3)))],
        INVALID,
        ("'dense_9', which is no layer",),
    ),
    "weights of the model itself": (
        [stores("top_level_model_weights", scale=np.ones(1))],
        INVALID,
        ("'top_level_model_weights'",),
    ),
    "two weights of one name": (
        [
            stores("dense_4/more", kernel=np.ones(3)),
            lambda _, f: f["model_weights/dense_4"].attrs.update(
                weight_names=[b"dense_4/kernel:0", b"dense_4/bias:0", b"more/dense_4/more/kernel:0"]
            ),
        ],
        UNSUPPORTED,
        (DENSE_4, "'more/dense_4/more/kernel:0'"),
    ),
    "a bias that is not used": ([says(DENSE, use_bias=False)], UNSUPPORTED, (DENSE_4, "'bias'")),
    "a bias that is neither used nor not": (
        [says(DENSE, use_bias="false")],
        INVALID,
        (DENSE_4, "use_bias: 'false' is not true or false"),
    ),
    "more units than the kernel has": (
        [says(DENSE, units=4)],
        INVALID,
        (DENSE_4, "no kernel of shape (any, 4)", "(32, 3)"),
    ),
    "fewer filters than the kernel has": (
        [says(CONV, filters=1)],
        INVALID,
        (CONV_0, "no kernel of shape (3, 3, any, 1)"),
    ),
    "another kernel size": (
        [says(CONV, kernel_size=[3, 2])],
        INVALID,
        (CONV_0, "no kernel of shape (3, 2, any, 2)"),
    ),
    "no units": (
        [lambda config, _: entry(config, DENSE)["config"].pop("units")],
        INVALID,
        (DENSE_4, "no units"),
    ),
    "a key that nobody thought of": (
        [says(DENSE, spectral_norm=True)],
        UNSUPPORTED,
        (DENSE_4, "spectral_norm True", "build it without"),
    ),
    "an entry's key that nobody thought of": (
        [comes_with(DENSE, sparsity=0.5)],
        UNSUPPORTED,
        (DENSE_4, "'sparsity'"),
    ),
    "a model's key that nobody thought of": (
        [model_says(ensemble=5)],
        UNSUPPORTED,
        ("'ensemble'",),
    ),
    "a dilation that is no number": (
        [says(CONV, dilation_rate=[1, "2"])],
        INVALID,
        (CONV_0, "dilation_rate: [1, '2'] is not a size"),
    ),
    "strides of three axes": (
        [says(CONV, strides=[1, 1, 1])],
        INVALID,
        (CONV_0, "strides: [1, 1, 1] is not a size"),
    ),
    "another padding": (
        [says(CONV, padding="full")],
        UNSUPPORTED,
        (CONV_0, "padding 'full'", "say 'valid' or 'same'"),
    ),
    "a function of one's own": (
        [says(DENSE, activation={"class_name": "function", "config": "mine"})],
        UNSUPPORTED,
        (DENSE_4, "activation 'mine'", "a layer of its own"),
    ),
    "a registered function of one's own": (
        [
            says(
                DENSE,
                activation={
                    "class_name": "function",
                    "config": "relu",
                    "registered_name": "my_package>relu",
                },
            )
        ],
        UNSUPPORTED,
        (DENSE_4, "has activation"),
    ),
    "a function with parameters": (
        [says(DENSE, activation={"class_name": "relu", "config": {"max_value": 3}})],
        UNSUPPORTED,
        (DENSE_4, "activation relu {'max_value': 3}"),
    ),
    "a layer with weights as an activation": (
        [says(DENSE, activation={"class_name": "PReLU", "config": {"name": "p"}})],
        UNSUPPORTED,
        (DENSE_4, "activation PReLU", "a layer of its own"),
    ),
    "a layer that is not understood as an activation": (
        [says(DENSE, activation={"class_name": "ReLU", "config": {"name": "p", "max_value": -1}})],
        UNSUPPORTED,
        (DENSE_4, "activation ReLU"),
    ),
    "a custom layer as an activation": (
        [says(DENSE, activation={"class_name": "ReLU", "config": {"name": "p"}, "module": "mine"})],
        UNSUPPORTED,
        (DENSE_4, "activation ReLU"),
    ),
    "kernels that Theano turned": (
        [noted(backend="theano")],
        UNSUPPORTED,
        (CONV_0, "backend 'theano'", "save it again"),
    ),
    "kernels that Theano turned, noted beside them": (
        [noted_with_weights(backend="theano")],
        UNSUPPORTED,
        (CONV_0, "backend 'theano'"),
    ),
    "a backend of no name": ([noted(backend="mlx")], UNSUPPORTED, (CONV_0, "backend 'mlx'")),
    "two backends": (
        [noted(backend="tensorflow"), noted_with_weights(backend="theano")],
        INVALID,
        ("two backends, tensorflow and theano",),
    ),
    "Keras 1": ([noted(keras_version="1.2.2")], INVALID, ("Keras 1.2.2", "Keras 2")),
    "dropout when predicting": (
        [functional(2), called(DROPOUT, training=True)],
        UNSUPPORTED,
        ("'dropout_2' (Dropout)", "called with training=True"),
    ),
    "dropout when predicting, Keras 3": (
        [functional(3), called(DROPOUT, training=True)],
        UNSUPPORTED,
        ("'dropout_2' (Dropout)", "called with training=True"),
    ),
    "an argument by position": (
        [functional(3), positional(DROPOUT, True)],
        UNSUPPORTED,
        ("'dropout_2' (Dropout)", "argument 1=True"),
    ),
    "a mask": ([functional(2), called(DENSE, mask=[True])], UNSUPPORTED, (DENSE_4, "mask=[True]")),
    "an argument that nobody thought of": (
        [functional(2), called(FLATTEN, unknown=2)],
        UNSUPPORTED,
        ("'flatten_3' (Flatten)", "unknown=2"),
    ),
    "two tensors for one": (
        [functional(2), reads_also(DENSE, "dropout_2", 0, 0)],
        UNSUPPORTED,
        (DENSE_4, "reads 2 values ('flatten_3', 'dropout_2')", "call it on one"),
    ),
    "two layers of one name": (
        [says(RELU, name="dropout_2")],
        INVALID,
        ("share the name 'dropout_2'",),
    ),
    "inputs of integers": ([says(INPUT, dtype="uint8")], UNSUPPORTED, ("'input_1'", "'uint8'")),
    "sparse inputs": ([says(INPUT, sparse=True)], UNSUPPORTED, ("'input_1'", "sparse True")),
    "ragged inputs": ([says(INPUT, ragged=True)], UNSUPPORTED, ("'input_1'", "ragged True")),
    "optional inputs": ([says(INPUT, optional=True)], UNSUPPORTED, ("'input_1'", "optional True")),
    "two input shapes": (
        [model_says(build_input_shape=[None, 6, 7, 1])],
        INVALID,
        ("two input shapes", "6, 7, 1"),
    ),
    "input shapes of two ranks": (
        [comes_with(INPUT, build_config={"input_shape": [None, 36]})],
        INVALID,
        ("two input shapes",),
    ),
}

NORMALISATION = {"name": "bn", "axis": -1, "epsilon": 0.001, "center": True, "scale": True}
STATISTICS = {name: np.ones(2) for name in ("gamma", "beta", "moving_mean", "moving_variance")}


def normalised(*stored: Change, **statements: Any) -> list[Change]:
    """The model with a batch normalisation after its convolution."""
    written = {**NORMALISATION, **statements}

    def insert(config: dict[str, Any], _file: h5py.File) -> None:
        layer = {"class_name": "BatchNormalization", "config": written}
        config["config"]["layers"].insert(RELU, layer)

    return [insert, stores("bn", **STATISTICS), *stored]


BN = "layer 'bn' (BatchNormalization)"
REFUSED |= {
    "a normalisation of renorm": (normalised(renorm=True), UNSUPPORTED, (BN, "renorm True")),
    "a normalisation of no axis": (normalised(axis="last"), INVALID, (BN, "axis: 'last' is not")),
    "a normalisation that nobody thought of": (
        normalised(groups=2),
        UNSUPPORTED,
        (BN, "groups 2, which is not understood"),
    ),
    "a scale that is not used": (normalised(scale=False), UNSUPPORTED, (BN, "weight 'gamma'")),
    "statistics of other channels": (
        normalised(stores("bn", gamma=np.ones(3))),
        INVALID,
        (BN, "no gamma of shape (2)", "(3,)"),
    ),
    "a variance below nothing": (
        normalised(stores("bn", moving_variance=np.array([1.0, -1.0]))),
        "WeightsOutOfRange",
        (BN, "variance below 0"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_understood_is_refused_by_name(case: str, refused: Callable[..., None]) -> None:
    changes, reason, words = REFUSED[case]
    refused(lambda: check(read_here(made(*changes))), reason, *words)


L2 = {"class_name": "L2", "config": {"l2": 0.1}}
UNIT = {"class_name": "UnitNorm", "config": {"axis": 0}}
HE = {"class_name": "HeNormal", "config": {"seed": 3}}
MINE = {"class_name": "Custom>Mine", "config": {"a": 1}}

IGNORED: dict[str, list[Change]] = {
    "how training began": [says(DENSE, kernel_initializer=HE, bias_initializer=MINE)],
    "what training paid for": [
        says(DENSE, kernel_regularizer=L2, bias_regularizer=MINE, activity_regularizer=L2),
        says(RELU, activity_regularizer=L2),
    ],
    "what training kept to": [says(CONV, kernel_constraint=UNIT, bias_constraint=UNIT)],
    "what is trained": [says(CONV, trainable=False)],
    "how much is dropped": [says(DROPOUT, rate=0.9, seed=5, noise_shape=[1, 2])],
    "an explicit nothing": [says(DENSE, activation=None, quantization_config=None, dtype=None)],
    "more precise floats": [says(DENSE, dtype="float64")],
    "less precise floats": [says(CONV, dtype="bfloat16")],
    "the same function by reference": [
        says(
            RELU,
            activation={
                "class_name": "function",
                "config": "relu",
                "module": "builtins",
                "registered_name": "function",
            },
        ),
    ],
    "the same function as a layer": [
        says(RELU, activation={"class_name": "ReLU", "config": {"name": "r", "max_value": None}}),
    ],
    "one size for all axes": [says(CONV, kernel_size=3, strides=1, dilation_rate=1)],
    "a policy as an object": [says(DENSE, dtype=policy("DTypePolicy", name="float32"))],
    "a policy of Keras 2": [says(CONV, dtype=policy("Policy", name="mixed_float16"))],
    "a policy of TensorFlow 2.1": [says(CONV, dtype=policy("PolicyV1", name="float32"))],
    "how TensorFlow runs it": [says(DENSE, dynamic=True)],
    "a shape of a layer inside": [says(DENSE, batch_input_shape=[None, 99])],
    "a fixed batch": [says(INPUT, batch_input_shape=[1, 6, 6, 1])],
    "a shape that agrees": [model_says(build_input_shape=[None, 6, 6, 1])],
    "a shape of Keras 2": [
        model_says(build_input_shape={"class_name": "TensorShape", "items": [None, 6, 6, 1]})
    ],
    "inference, said so": [functional(2), called(DROPOUT, training=False)],
    "inference, said so, Keras 3": [functional(3), called(DROPOUT, training=None, mask=None)],
    "a backend that stores kernels alike": [noted(backend="torch")],
    "notes of one's own": [noted(author="me")],
    "weights of the model itself, none": [stores("top_level_model_weights")],
}


@pytest.mark.parametrize("case", IGNORED)
def test_what_changes_no_prediction_is_passed_over(case: str) -> None:
    plain, changed = (networks.program(data) for data in (made(), made(*IGNORED[case])))
    assert changed.encode() == plain.encode()
    assert all((changed.weights[at] == value).all() for at, value in plain.weights.items())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (normalised(axis=1), "(4, 4, 2): it normalises 2 channels of axis (1,)"),
        (normalised(axis=[1, 3]), "(4, 4, 2): it normalises 2 channels of axis (1, 3)"),
        (normalised(axis=0), "(4, 4, 2): it normalises 2 channels of axis (0,)"),
        (
            normalised(stores("bn", **{name: np.ones(1) for name in STATISTICS})),
            "(4, 4, 2): it normalises 1 channels of axis (-1,)",
        ),
    ],
)
def test_a_normalisation_that_does_not_fit_is_refused(
    changes: list[Change], words: str, refused: Callable[..., None]
) -> None:
    model = read_here(made(*changes))
    refused(lambda: record(model), INVALID, BN, words, "check the model's input shape")


def test_theanos_other_weights_are_like_any() -> None:
    data = networks.keras_file((4,), [networks.dense(3)], np.ones)
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        file.attrs["backend"] = "theano"
    check(read_here(buffer.getvalue()))


def test_all_that_is_wrong_is_said_at_once() -> None:
    data = made(
        says(CONV, groups="two", padding="full"),
        says(RELU, activation="tanh"),
        says(DENSE, activation="sparsemax"),
        noted(backend="theano"),
    )
    found = findings(read_here(data))
    layers = ["conv2d_0"] * 3 + ["dense_4", "activation_1"]
    assert [finding.layer for finding in found] == layers
    with pytest.raises(ShareError, match="4 more in the share Job's log") as caught:
        check(read_here(data))
    assert list(caught.value.findings) == found


WINDOW, RATE, FACTOR = {"filters": 2, "kernel_size": 3}, {"rate": 0.5}, {"factor": 0.1}
# what a class cannot be made without
ARGUMENTS: dict[str, dict[str, Any]] = {
    "Conv1D": WINDOW,
    "Conv2D": WINDOW,
    "Conv1DTranspose": WINDOW,
    "Conv2DTranspose": WINDOW,
    "SeparableConv1D": WINDOW,
    "SeparableConv2D": WINDOW,
    "DepthwiseConv1D": {"kernel_size": 3},
    "DepthwiseConv2D": {"kernel_size": 3},
    "Dense": {"units": 2},
    "Activation": {"activation": "relu"},
    "BatchNormalization": {"epsilon": 0.01},
    "Rescaling": {"scale": 0.5},
    "AveragePooling1D": {"pool_size": 2},
    "AveragePooling2D": {"pool_size": 2},
    "Reshape": {"target_shape": (3, -1)},
    "Permute": {"dims": (2, 1)},
    "RepeatVector": {"n": 2},
    "Dropout": RATE,
    "SpatialDropout1D": RATE,
    "SpatialDropout2D": RATE,
    "AlphaDropout": RATE,
    "GaussianDropout": RATE,
    "GaussianNoise": {"stddev": 0.5},
    "RandomCrop": {"height": 2, "width": 2},
    "RandomPosterization": {"factor": 4},
    "RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1},
    "RandomZoom": {"height_factor": 0.1},
    "RandomBrightness": FACTOR,
    "RandomColorDegeneration": FACTOR,
    "RandomContrast": FACTOR,
    "RandomHeight": FACTOR,
    "RandomHue": FACTOR,
    "RandomRotation": FACTOR,
    "RandomSaturation": FACTOR,
    "RandomSharpness": FACTOR,
    "RandomWidth": FACTOR,
}
VERSIONS = {"Keras 2": tf_keras, "Keras 3": keras}
INPUTS = {"Keras 2": {"batch_input_shape": (None, 3)}, "Keras 3": {"batch_shape": (None, 3)}}
# operations, which are no layers (test_lowering.py)
OPERATIONS = {"Relu", "Relu6", "Sigmoid", "Tanh", "TrueDivide", "Divide", "Negative", "TFOpLambda"}
IN_KERAS = [
    (kind, version)
    for kind in TYPES
    for version, of in VERSIONS.items()
    if hasattr(of.layers, kind) and kind not in OPERATIONS
]


def test_every_layer_is_one_of_keras() -> None:
    assert {kind for kind, _ in IN_KERAS} == TYPES.keys() - OPERATIONS


@pytest.mark.parametrize(("kind", "version"), IN_KERAS)
def test_every_key_that_keras_writes_is_stated(kind: str, version: str) -> None:
    given = INPUTS[version] if kind == "InputLayer" else ARGUMENTS.get(kind, {})
    written = getattr(VERSIONS[version].layers, kind)(**given).get_config()
    stated = {**COMMON, **COMMON_IGNORED, **TYPES[kind].settings, **TYPES[kind].ignored}
    assert not written.keys() - stated.keys()


def settings(kind: type[LayerType]) -> str:
    """The keys of a layer with the values that are understood; keys of the same values together."""
    values: dict[str, list[str]] = {}
    for key, setting in kind.settings.items():
        values.setdefault(setting.says, []).append(f"`{key}`")
    return "; ".join(f"{', '.join(keys)}: {says}" for says, keys in values.items())


def grouped(pairs: Iterable[tuple[Any, str]]) -> dict[Any, list[str]]:
    """What has the same key, together."""
    found: dict[Any, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def table() -> str:
    """What docs/layers.md says about layers; those that are alike in one line."""
    lines = ["| layer | what it is | what its configuration may say |", "|---|---|---|"]
    alike = grouped(
        ((str(kind.__doc__).splitlines()[0], settings(kind)), name)
        for name, kind in sorted(TYPES.items())
    )
    lines += [f"| {listed(names)} | {what} | {says} |" for (what, says), names in alike.items()]
    every = "; ".join(f"`{key}`: {setting.says}" for key, setting in COMMON.items())
    lines += [f"| every layer | | {every} |", ""]

    lines += ["| keys | of | may say anything, because |", "|---|---|---|"]
    lines += [f"| `{key}` | every layer | {why} |" for key, why in COMMON_IGNORED.items()]
    stated = ((n, *pair) for n, kind in sorted(TYPES.items()) for pair in kind.ignored.items())
    of = grouped(((key, why), name) for name, key, why in stated)
    rows = grouped(((tuple(names), why), key) for (key, why), names in of.items())
    lines += [
        f"| {listed(keys)} | {listed(names)} | {why} |" for (names, why), keys in rows.items()
    ]
    return "\n".join([*lines, "", *functions()]) + "\n"


def functions() -> list[str]:
    """The functions that an activation may be."""
    shares, client = (
        [n for n, f in NAMED.items() if bool(f.on_shares) == s] for s in (True, False)
    )
    return [
        "### Functions",
        f"Computed on shares, anywhere: {listed(shares)}.",
        f"At the end of the model, by the client: {listed(client)}.",
    ]


BEGIN, END = "<!-- made from the declarations: make golden -->\n", "<!-- end -->\n"


def test_the_docs_say_what_layers_declare(renew_golden: bool) -> None:
    """Renewed by `make golden`."""
    text = DOCS.read_text()
    before, _, rest = text.partition(BEGIN)
    said, _, after = rest.partition(END)
    if renew_golden:
        DOCS.write_text(before + BEGIN + table() + END + after)
        said = table()
    assert said == table()


@pytest.mark.parametrize("kind", TYPES)
def test_no_setting_understands_everything(kind: str) -> None:
    for key in {**COMMON, **TYPES[kind].settings}:
        layer = Layer(kind=kind, name="some", config={key: "nonsense"})
        said = [finding.message for finding in TYPES[kind](layer).findings()]
        assert any(key in message and "'nonsense'" in message for message in said), key
