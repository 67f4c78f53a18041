"""Reading whole-model .h5 files: what Keras writes, and what must be refused."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

import networks
import reference
from securemodel_share.lowering import check
from securemodel_share.readers import read_here
from securemodel_share.sources import check_sha256

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = [networks.conv(2), networks.pool(), networks.RELU, networks.FLATTEN, networks.dense(3)]
# keras.Sequential([Input((8, 8, 1)), Conv2D(2, 3), AveragePooling2D(2), ReLU(), Flatten(),
# Dense(3)]).save("keras3.h5"), by Keras 3.15
KERAS_3 = Path(__file__).parent / "keras3.h5"
DIGITS = (reference.DIGITS / "digits.h5").read_bytes()


def file(
    layers: list[Any] = SMALL,
    shape: tuple[int, ...] = (8, 8, 1),
    keras: int = 2,
    value: float = 0.5,
) -> bytes:
    return networks.keras_file(shape, layers, lambda s: np.full(s, value), keras=keras)


def changed(change: Callable[[h5py.File], None], data: bytes = DIGITS) -> bytes:
    """The file after a change inside it."""
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as f:
        change(f)
    return buffer.getvalue()


def configured(change: Callable[[dict[str, Any]], None], data: bytes = DIGITS) -> bytes:
    """The file after a change of its model_config."""

    def apply(f: h5py.File) -> None:
        config = json.loads(f.attrs["model_config"])
        change(config)
        f.attrs["model_config"] = json.dumps(config)

    return changed(apply, data)


def layer(config: dict[str, Any], at: int) -> dict[str, Any]:
    return config["config"]["layers"][at]


def test_the_example_is_read() -> None:
    model = read_here(DIGITS)
    assert (model.name, model.input_shape) == ("digits", (28, 28, 1))
    assert [entry.kind for entry in model.layers][:4] == [
        "InputLayer",
        "Conv2D",
        "AveragePooling2D",
        "Activation",
    ]
    assert {name: w.shape for name, w in model.layers[1].weights.items()} == {
        "kernel": (3, 3, 1, 10),
        "bias": (10,),
    }


@pytest.mark.parametrize("keras", [2, 3])
def test_both_layouts_of_weights_are_read(keras: int) -> None:
    model = read_here(file(keras=keras))
    assert model.input_shape == (8, 8, 1)
    assert set(model.layers[1].weights) == {"kernel", "bias"}
    check(model)


def test_a_file_that_keras_3_wrote_is_read() -> None:
    model = read_here(KERAS_3.read_bytes())
    check(model)
    assert [entry.kind for entry in model.layers] == [
        "InputLayer",
        "Conv2D",
        "AveragePooling2D",
        "ReLU",
        "Flatten",
        "Dense",
    ]
    assert {name: w.shape for name, w in model.layers[1].weights.items()} == {
        "kernel": (3, 3, 1, 2),
        "bias": (2,),
    }


def test_the_hash_must_match(refused: Callable[..., None]) -> None:
    digest = hashlib.sha256(b"abc").hexdigest()
    check_sha256(b"abc", digest.upper())
    refused(
        lambda: check_sha256(b"abd", digest),
        "HashMismatch",
        digest,
        hashlib.sha256(b"abd").hexdigest(),
        "correct one of the two",
    )


@pytest.mark.parametrize(
    "data",
    [b"no HDF5", DIGITS[:1000], DIGITS[:-1]],
    ids=["text", "beginning", "last byte missing"],
)
def test_a_truncated_or_other_file_is_refused(data: bytes, refused: Callable[..., None]) -> None:
    refused(lambda: read_here(data), "InvalidModel", "truncated", "model.save(")


def test_a_file_of_weights_alone_is_refused(refused: Callable[..., None]) -> None:
    def strip(f: h5py.File) -> None:
        del f.attrs["model_config"]

    refused(lambda: read_here(changed(strip)), "InvalidModel", "weights only", "to_json()")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"class_name": "Sequential"}',
        '{"class_name": "Sequential", "config": {"layers": [{}]}}',
    ],
)
def test_a_broken_configuration_is_refused(text: str) -> None:
    def set_config(f: h5py.File) -> None:
        f.attrs["model_config"] = text

    with pytest.raises(
        Exception, match=r"not JSON|not the architecture|not a Keras model|of class"
    ) as caught:
        read_here(changed(set_config))
    assert str(caught.value.reason) in ("InvalidModel", "UnsupportedLayer")  # type: ignore[attr-defined]


def test_a_file_cut_anywhere_is_refused(refused: Callable[..., None]) -> None:
    for length in range(1, len(DIGITS), 997):
        refused(lambda length=length: read_here(DIGITS[:length]), "InvalidModel", "truncated")


def test_missing_weights_are_named(refused: Callable[..., None]) -> None:
    def remove(f: h5py.File) -> None:
        del f["model_weights/conv2d_1"]

    refused(
        lambda: check(read_here(changed(remove))),
        "InvalidModel",
        "'conv2d_1' (Conv2D)",
        "no kernel",
    )


def test_an_external_link_is_not_followed(tmp_path: Path, refused: Callable[..., None]) -> None:
    path = tmp_path / "other.h5"
    path.write_bytes(DIGITS)

    def link(f: h5py.File) -> None:
        del f["model_weights/dense"]
        f["model_weights/dense"] = h5py.ExternalLink(str(path), "/model_weights/dense")

    refused(lambda: read_here(changed(link)), "InvalidModel", "'dense'", "link")


def test_a_soft_link_is_not_followed(refused: Callable[..., None]) -> None:
    def link(f: h5py.File) -> None:
        del f["model_weights/dense"]
        f["model_weights/dense"] = h5py.SoftLink("/model_weights/conv2d")

    refused(lambda: read_here(changed(link)), "InvalidModel", "'dense'", "link")


def test_weights_stored_outside_the_file_are_refused(
    tmp_path: Path, refused: Callable[..., None]
) -> None:
    (tmp_path / "raw").write_bytes(bytes(4 * 64 * 10))

    def externalise(f: h5py.File) -> None:
        path = f["model_weights/dense"].attrs["weight_names"][0]
        del f["model_weights/dense"][path]
        f["model_weights/dense"].create_dataset(
            path, (64, 10), "f4", external=[(str(tmp_path / "raw"), 0, 4 * 64 * 10)]
        )

    refused(
        lambda: read_here(changed(externalise)), "InvalidModel", "not stored in the file itself"
    )


def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(
    refused: Callable[..., None],
) -> None:
    def inflate(f: h5py.File) -> None:
        path = f["model_weights/dense"].attrs["weight_names"][0]
        del f["model_weights/dense"][path]
        f["model_weights/dense"].create_dataset(path, (1 << 20, 1 << 20), "f4", chunks=(1, 1 << 20))

    refused(lambda: read_here(changed(inflate)), "InvalidModel", "more than")


def test_a_lambda_layer_is_refused_by_name(refused: Callable[..., None]) -> None:
    data = configured(lambda c: layer(c, 3).update(class_name="Lambda"))
    refused(
        lambda: check(read_here(data)),
        "UnsupportedLayer",
        "layer 'activation' (Lambda) runs code from the file and is refused",
        "docs/layers.md",
    )


@pytest.mark.parametrize("module", ["my_package", "builtins"])
def test_a_custom_class_cannot_pass_for_one_of_keras(
    module: str, refused: Callable[..., None]
) -> None:
    data = configured(lambda c: layer(c, 11).update(module=module, registered_name="My>Dense"))
    refused(lambda: read_here(data), "UnsupportedLayer", "'dense' (My>Dense) is a custom class")


def test_an_unknown_layer_is_refused_by_name(refused: Callable[..., None]) -> None:
    data = configured(lambda c: layer(c, 3).update(class_name="LSTM"))
    refused(
        lambda: check(read_here(data)),
        "UnsupportedLayer",
        "layer 'activation' (LSTM) is not supported; supported layers: docs/layers.md",
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_named(value: float, refused: Callable[..., None]) -> None:
    refused(
        lambda: check(read_here(file(value=value))),
        "WeightsOutOfRange",
        "'conv2d_0' (Conv2D)",
        "kernel holds NaN or infinite",
    )


def test_a_model_without_weights_is_refused(refused: Callable[..., None]) -> None:
    refused(
        lambda: check(read_here(file([networks.RELU], (8,)))),
        "InvalidModel",
        "no layer with weights",
    )


def test_an_input_of_unknown_shape_is_refused(refused: Callable[..., None]) -> None:
    data = configured(lambda c: layer(c, 0)["config"].update(batch_input_shape=None))
    refused(
        lambda: read_here(data),
        "InvalidModel",
        "does not say the shape",
        "keras.Model(model.inputs",
    )


@pytest.mark.parametrize("shape", [[None, None, 8, 1], [None], [None, 8, 0, 1]])
def test_an_input_of_no_fixed_size_is_refused(shape: Any, refused: Callable[..., None]) -> None:
    data = configured(lambda c: layer(c, 0)["config"].update(batch_input_shape=shape))
    refused(lambda: read_here(data), "InvalidModel", "not fixed")


def branching(change: Callable[[list[Any], dict[str, Any]], None]) -> bytes:
    """The example as a Functional model, after a change."""

    def apply(c: dict[str, Any]) -> None:
        layers = c["config"]["layers"]
        names = [entry["config"]["name"] for entry in layers]
        for before, entry in zip([None, *names], layers, strict=False):
            entry["inbound_nodes"] = [[[before, 0, 0, {}]]] if before else []
        c["class_name"] = "Functional"
        c["config"] |= {
            "input_layers": [[names[0], 0, 0]],
            "output_layers": [[names[-1], 0, 0]],
        }
        change(layers, c["config"])

    return configured(apply)


def test_a_functional_chain_is_read() -> None:
    check(read_here(branching(lambda *_: None)))


def test_a_branch_and_an_output_in_the_middle_are_read() -> None:
    def branch(layers: list[Any], config: dict[str, Any]) -> None:
        layers[3]["inbound_nodes"] = [[["average_pooling2d", 0, 0, {}], ["conv2d", 0, 0, {}]]]
        config["output_layers"] = [["flatten", 0, 0]]

    model = read_here(branching(branch))
    read = {entry.name: entry.inputs for entry in model.layers}
    assert read["activation"] == ("average_pooling2d", "conv2d")
    assert model.outputs == ("flatten",)
