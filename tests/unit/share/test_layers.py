"""What a model file says is understood or refused by name: configurations, weights, calls, the
backend. Nothing is passed over unless a layer declares that it may be, and why.
"""

from __future__ import annotations

import copy
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
from securemodel_share.compile import Wanted, compile_model
from securemodel_share.errors import ShareError
from securemodel_share.layers import LAYERS as TYPES
from securemodel_share.layers import LayerType
from securemodel_share.layers.base import COMMON, COMMON_IGNORED
from securemodel_share.lowering import check, findings
from securemodel_share.model import Layer
from securemodel_share.readers import read_model

if TYPE_CHECKING:
    from collections.abc import Callable

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


def reads(at: int, *reference: Any) -> Change:
    """A layer of a Functional model of Keras 2 reads [layer, call, tensor]."""

    def change(config: dict[str, Any], _file: h5py.File) -> None:
        entry(config, at)["inbound_nodes"] = [[[*reference, {}]]]

    return change


def positional(at: int, value: Any) -> Change:
    def change(config: dict[str, Any], _file: h5py.File) -> None:
        entry(config, at)["inbound_nodes"][0]["args"].append(value)

    return change


def called_twice(config: dict[str, Any], _file: h5py.File) -> None:
    entry(config, DROPOUT)["inbound_nodes"].append([["dropout_2", 0, 0, {}]])
    entry(config, FLATTEN)["inbound_nodes"] = [[["dropout_2", 1, 0, {}]]]


def an_input_in_the_middle(config: dict[str, Any], _file: h5py.File) -> None:
    layers = config["config"]["layers"]
    second = copy.deepcopy(layers[0])
    second["config"].update(name="second", batch_input_shape=[None, 72])
    layers.insert(DENSE, second)


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
    "a policy of bfloat16": ([says(CONV, dtype="bfloat16")], UNSUPPORTED, (CONV_0, "bfloat16")),
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
    "a kernel of bfloat16": (
        [stores("dense_4", kernel=np.zeros((32, 3), "V2"))],
        INVALID,
        ("'dense_4'", "bfloat16"),
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
    "a dilation": (
        [says(CONV, dilation_rate=[1, 2])],
        UNSUPPORTED,
        (CONV_0, "dilation_rate [1, 2]"),
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
    "a layer that is called twice": (
        [functional(2), called_twice],
        UNSUPPORTED,
        ("'dropout_2' (Dropout)", "shared layers"),
    ),
    "the second tensor of a layer": (
        [functional(2), reads(DENSE, "flatten_3", 0, 1)],
        UNSUPPORTED,
        (DENSE_4, "call 0, tensor 1"),
    ),
    "an input that is not the first layer": (
        [functional(2), model_says(input_layers=[["conv2d_0", 0, 0]])],
        UNSUPPORTED,
        ("inputs are 'conv2d_0'",),
    ),
    "an input in the middle": ([an_input_in_the_middle], UNSUPPORTED, ("'second' (InputLayer)",)),
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
    "a normalisation of two axes": (normalised(axis=[1, 2]), UNSUPPORTED, (BN, "axis [1, 2]")),
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
    refused(lambda: check(read_model(made(*changes))), reason, *words)


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
    plain, changed = (
        compile_model(read_model(data), Wanted()).program for data in (made(), made(*IGNORED[case]))
    )
    assert changed.encode() == plain.encode()
    assert all((changed.weights[at] == value).all() for at, value in plain.weights.items())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (normalised(axis=1), "it normalises axis 1, not the last"),
        (
            normalised(stores("bn", **{name: np.ones(1) for name in STATISTICS})),
            "normalises 1 channels",
        ),
    ],
)
def test_a_normalisation_that_does_not_fit_is_refused(
    changes: list[Change], words: str, refused: Callable[..., None]
) -> None:
    model = read_model(made(*changes))
    refused(lambda: compile_model(model, Wanted()).program, INVALID, BN, words)


def test_theanos_other_weights_are_like_any() -> None:
    data = networks.keras_file((4,), [networks.dense(3)], np.ones)
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        file.attrs["backend"] = "theano"
    check(read_model(buffer.getvalue()))


def test_all_that_is_wrong_is_said_at_once() -> None:
    data = made(
        says(CONV, dilation_rate=[2, 2], padding="same"),
        says(DENSE, activation="softmax"),
        noted(backend="theano"),
    )
    found = findings(read_model(data))
    assert [finding.layer for finding in found] == ["conv2d_0"] * 3 + ["dense_4"]
    with pytest.raises(ShareError, match="3 more in the share Job's log") as caught:
        check(read_model(data))
    assert list(caught.value.findings) == found


# what a class cannot be made without
ARGUMENTS: dict[str, dict[str, Any]] = {
    "Conv2D": {"filters": 2, "kernel_size": 3},
    "Dense": {"units": 2},
    "Activation": {"activation": "relu"},
    "Dropout": {"rate": 0.5},
    "BatchNormalization": {"epsilon": 0.01},
    "InputLayer": {"batch_input_shape": (None, 3)},
    "AveragePooling2D": {"pool_size": 2},
}


@pytest.mark.parametrize("version", [tf_keras, keras], ids=["Keras 2", "Keras 3"])
@pytest.mark.parametrize("kind", TYPES)
def test_every_key_that_keras_writes_is_stated(kind: str, version: Any) -> None:
    given = dict(ARGUMENTS.get(kind, {}))
    if kind == "InputLayer" and version is keras:
        given = {"batch_shape": given["batch_input_shape"]}
    written = getattr(version.layers, kind)(**given).get_config()
    stated = {**COMMON, **COMMON_IGNORED, **TYPES[kind].settings, **TYPES[kind].ignored}
    assert not written.keys() - stated.keys()


def settings(kind: type[LayerType]) -> str:
    """The keys of a layer with the values that are understood; keys of the same values together."""
    values: dict[str, list[str]] = {}
    for key, setting in kind.settings.items():
        values.setdefault(setting.says, []).append(f"`{key}`")
    return "; ".join(f"{', '.join(keys)}: {says}" for says, keys in values.items())


def ignored() -> dict[str, str]:
    """All keys that may say anything, with the reason."""
    return COMMON_IGNORED | {
        key: why for _, kind in sorted(TYPES.items()) for key, why in kind.ignored.items()
    }


def table() -> str:
    """What docs/layers.md says about layers."""
    lines = ["| layer | what it is | what its configuration may say |", "|---|---|---|"]
    for name, kind in sorted(TYPES.items()):
        lines.append(f"| `{name}` | {str(kind.__doc__).splitlines()[0]} | {settings(kind)} |")
    every = "; ".join(f"`{key}`: {setting.says}" for key, setting in COMMON.items())
    lines += [f"| every layer | | {every} |", ""]

    lines += ["| keys | of | may say anything, because |", "|---|---|---|"]
    of = {key: [name for name in sorted(TYPES) if key in TYPES[name].ignored] for key in ignored()}
    rows: dict[tuple[str, str], list[str]] = {}
    for key, why in ignored().items():
        rows.setdefault((", ".join(f"`{n}`" for n in of[key]) or "every layer", why), []).append(
            key
        )
    lines += [
        f"| {', '.join(f'`{key}`' for key in keys)} | {names} | {why} |"
        for (names, why), keys in rows.items()
    ]
    return "\n".join(lines) + "\n"


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
        said = [finding.message for finding in TYPES[kind](layer).findings("tensorflow")]
        assert any(key in message and "'nonsense'" in message for message in said), key
