"""Architectures as JSON, with weights in a file of their own: what is read, and what is refused."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from securemodel_share.readers import read_here

if TYPE_CHECKING:
    from collections.abc import Callable

    from securemodel_share.model import Model

    Refused = Callable[..., None]

KERNEL = np.arange(16, dtype=np.float32).reshape(4, 4)


def given(name: str = "x", **more: Any) -> dict[str, Any]:
    config = {"name": name, "batch_shape": [None, 4], **more}
    return {"class_name": "InputLayer", "name": name, "config": config, "inbound_nodes": []}


def layer(name: str, *calls: Any, kind: str = "Dense", **config: Any) -> dict[str, Any]:
    return {
        "class_name": kind,
        "name": name,
        "config": {"name": name, "use_bias": False, **config},
        "inbound_nodes": list(calls),
    }


def old(*names: str, **keywords: Any) -> Any:
    """A call as Keras 2 writes it."""
    return [[name, 0, 0, keywords] for name in names]


def tensor(name: str, call: int = 0, output: int = 0) -> Any:
    history = [name, call, output]
    return {"class_name": "__keras_tensor__", "config": {"keras_history": history}}


def new(*arguments: Any, **keywords: Any) -> Any:
    """A call as Keras 3 writes it."""
    return {"args": list(arguments), "kwargs": keywords}


def graph(
    *entries: dict[str, Any], name: str = "model", calls: Any = (), out: Any = None
) -> dict[str, Any]:
    last = entries[-1]["name"] if entries else ""
    inputs = [[e["name"], 0, 0] for e in entries if e["class_name"] == "InputLayer"]
    config = {
        "name": name,
        "layers": list(entries),
        "input_layers": inputs,
        "output_layers": out or [[last, 0, 0]],
    }
    entry = {"class_name": "Functional", "name": name, "config": config}
    return {**entry, "inbound_nodes": list(calls)} if calls else entry


def chain(*entries: dict[str, Any], name: str = "model", **more: Any) -> dict[str, Any]:
    plain = [{k: v for k, v in entry.items() if k != "inbound_nodes"} for entry in entries]
    return {
        "class_name": "Sequential",
        "name": name,
        "config": {"name": name, "layers": plain, **more},
    }


def numbered(**arrays: np.ndarray) -> bytes:
    """Weights as Keras 3 writes them."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as f:
        f.create_group("layers")
        for path, array in arrays.items():
            f[path] = array
    return buffer.getvalue()


def named(groups: dict[str, list[str]], listed: bool = True, **attributes: Any) -> bytes:
    """Weights as Keras 2 writes them."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as f:
        f.attrs.update(attributes)
        if listed:
            f.attrs["layer_names"] = list(groups)
        for i, (group, paths) in enumerate(groups.items()):
            f.create_group(group).attrs["weight_names"] = paths
            for path in paths:
                f[group][path] = KERNEL + 100 * i
    return buffer.getvalue()


NONE = numbered()
ONE = numbered(**{"layers/dense/vars/0": KERNEL})


def read(config: dict[str, Any], weights: bytes = NONE) -> Model:
    return read_here(weights, json.dumps(config).encode())


def arrows(model: Model) -> dict[str, tuple[str, ...]]:
    return {entry.name: entry.inputs for entry in model.layers}


@pytest.mark.parametrize(
    "call",
    [
        old("x"),
        ["x", 0, 0, {}],
        [["x", 0, 0]],
        new(tensor("x")),
        new([tensor("x")]),
        new(inputs=tensor("x")),
    ],
)
def test_a_call_may_be_written_in_many_ways(call: Any) -> None:
    (_, dense) = read(graph(given(), layer("d", call))).layers
    assert (dense.inputs, dense.arguments) == (("x",), {})


def test_what_a_call_says_beside_its_tensors_is_kept() -> None:
    calls = {
        "keywords of Keras 2": (old("x", training=False), {"training": False}),
        "keywords of Keras 3": (new(tensor("x"), training=True), {"training": True}),
        "a number": (new(tensor("x"), 255.0), {"argument 1": 255.0}),
        "a number before": (new(1.0, tensor("x")), {"argument 0": 1.0}),
        "tensors and numbers": (
            new([tensor("x"), 3], inputs=tensor("x")),
            {"argument 0": [tensor("x"), 3]},
        ),
        "a mask": (new(tensor("x"), mask=tensor("x")), {"mask": tensor("x")}),
        "a constant of Keras 2": (
            [["x", 0, 0, {}], ["_CONSTANT_VALUE", -1, 2.0, {}]],
            {"argument 1": 2.0},
        ),
        "what Keras never wrote": ({**new(tensor("x")), "more": 1}, {"'more' of its call": 1}),
    }
    for what, (call, arguments) in calls.items():
        (_, found) = read(graph(given(), layer("d", call))).layers
        assert (found.inputs, found.arguments) == (("x",), arguments), what


def test_an_operation_of_keras_2_takes_its_second_tensor_as_a_keyword() -> None:
    constant = [["_CONSTANT_VALUE", -1, 1.0, {"y": ["x", 0, 0], "name": None}]]
    model = read(
        graph(
            given(),
            layer("a", ["x", 0, 0, {"y": ["x", 0, 0], "name": None}], kind="TFOpLambda"),
            layer("b", constant, kind="TFOpLambda"),
            layer("c", old("a", "b"), kind="Add"),
        )
    )
    assert arrows(model) == {"x": (), "a": ("x", "x"), "b": ("x",), "c": ("a", "b")}
    assert model.layers[2].arguments == {"argument 0": 1.0, "name": None}


def test_calls_come_after_what_they_read_whatever_the_order_of_the_file() -> None:
    model = read(
        graph(
            layer("last", old("middle")),
            layer("middle", old("x")),
            given(),
            out=[["last", 0, 0]],
        )
    )
    assert list(arrows(model)) == ["x", "middle", "last"]


def test_a_layer_called_again_is_a_layer_of_the_same_weights() -> None:
    calls = (old("x"), [["d", 0, 0, {}]])
    model = read(graph(given(), layer("d", *calls), out=[["d", 1, 0]]), ONE)
    assert arrows(model) == {"x": (), "d": ("x",), "d (call 2)": ("d",)}
    assert model.outputs == ("d (call 2)",)
    assert model.layers[1].weights["kernel"] is model.layers[2].weights["kernel"]


@pytest.mark.parametrize("first", [0, 1])
def test_calls_of_a_nested_model_are_counted_from_0_or_1(first: int) -> None:
    """From 1 where it was built on an input of its own, which is most often so."""
    inner = graph(
        given("i"), layer("d", old("i")), name="m", calls=[old("x"), [["m", first, 0, {}]]]
    )
    model = read(graph(given(), inner, out=[["m", first + 1, 0]]))
    assert arrows(model) == {"x": (), "m/d": ("x",), "m/d (call 2)": ("m/d",)}


def test_a_nested_chain_without_an_input_is_read() -> None:
    inner = chain(layer("d"), name="inner")
    model = read(chain(inner, layer("e"), name="outer", build_input_shape=[None, 4]))
    assert arrows(model) == {
        "inner_input": (),
        "inner/d": ("inner_input",),
        "e": ("inner/d",),
    }
    assert model.input_shape == (4,)


def test_models_of_early_keras_2_are_lists() -> None:
    inner = {"class_name": "Sequential", "name": "inner", "config": [layer("d")]}
    first = layer("e", batch_input_shape=[None, 4])
    model = read({"class_name": "Sequential", "config": [first, inner]})
    assert arrows(model) == {"e_input": (), "e": ("e_input",), "inner/d": ("e",)}


def test_inputs_and_outputs_are_all_named() -> None:
    model = read(
        graph(given("a"), given("b"), layer("d", old("a", "b"), kind="Add"), out=[["d", 0, 0]] * 2)
    )
    assert (model.inputs, model.outputs) == (("a", "b"), ("d", "d"))


def two(*names: str) -> tuple[dict[str, Any], ...]:
    return (given(), *(layer(name, old("x")) for name in names))


CIRCLE = [[["b", 0, 0, {}]]]
INNER = graph(given("i"), layer("d", old("i")), name="m", calls=[old("x")])


def inner(**more: Any) -> dict[str, Any]:
    return {**INNER, **more}


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "another class": (
        {"class_name": "MyModel", "config": {}},
        "UnsupportedLayer",
        "of class 'MyModel'",
    ),
    "a class of one's own": (
        {**graph(*two("d")), "module": "mine", "registered_name": "mine>Functional"},
        "UnsupportedLayer",
        "of class 'Functional'",
    ),
    "a custom class in a nested model": (
        graph(given(), graph(given("i"), {**layer("d", old("i")), "module": "me"}, name="m")),
        "UnsupportedLayer",
        "'d' (Dense) is a custom class",
    ),
    "what is said of a model": (
        chain(given(), layer("d"), loop=True),
        "UnsupportedLayer",
        "says 'loop'",
    ),
    "what is said beside a layer": (
        graph(given(), {**layer("d", old("x")), "scale": 2}),
        "UnsupportedLayer",
        "'d' (Dense) comes with 'scale'",
    ),
    "no layers": (chain(), "InvalidModel", "no layers"),
    "no outputs": (graph(*two("d"), out=[[]]), "InvalidModel", "no inputs or no outputs"),
    "a layer that is not there": (
        graph(given(), layer("d", old("y"))),
        "InvalidModel",
        "reads 'y', which is no layer",
    ),
    "a call that is not there": (
        graph(given(), layer("d", [["x", 1, 0, {}]])),
        "InvalidModel",
        "call 1 of layer 'x'",
    ),
    "a second output": (
        graph(*two("d"), layer("e", [["d", 0, 1, {}]])),
        "UnsupportedLayer",
        "output 2 of layer 'd' (Dense)",
    ),
    "a circle": (
        graph(given(), layer("a", *CIRCLE), layer("b", old("a"))),
        "InvalidModel",
        "in a circle",
    ),
    "a layer that is not called": (
        graph(given(), layer("a"), layer("b", old("x"))),
        "InvalidModel",
        "layer 'a' (Dense) is not called",
    ),
    "a layer that reads nothing": (
        graph(given(), layer("a", new(3.0))),
        "UnsupportedLayer",
        "layer 'a' (Dense) reads no tensor",
    ),
    "tensors under names": (
        graph(given(), layer("a", {"query": ["x", 0, 0]})),
        "UnsupportedLayer",
        "layer 'a' (Dense) is called with tensors under names",
    ),
    "two values of a keyword": (
        graph(given(), layer("a", [["x", 0, 0, {"k": 1}], ["x", 0, 0, {"k": 2}]])),
        "UnsupportedLayer",
        "two values of k",
    ),
    "a nested model in training": (
        graph(given(), inner(inbound_nodes=[old("x", training=True)])),
        "UnsupportedLayer",
        "'m' (Functional) is called with training=True",
    ),
    "a nested model without training": (
        graph(given(), inner(inbound_nodes=[old("x", training=0)])),
        "UnsupportedLayer",
        "training=0",
    ),
    "a nested model of two inputs": (
        graph(given(), inner(inbound_nodes=[old("x", "x")])),
        "InvalidModel",
        "'m' has 1 inputs and is called on 2",
    ),
    "a nested input that makes integers": (
        graph(
            given(),
            graph(given("i", dtype="int32"), layer("d", old("i")), name="m", calls=[old("x")]),
        ),
        "UnsupportedLayer",
        "'m' (Functional) has dtype 'int32'",
    ),
    "a name made of two": (
        graph(given(), INNER, layer("m/d", [["m", 1, 0, {}]])),
        "InvalidModel",
        "share the name 'm/d'",
    ),
    "another name beside it": (
        graph(given(), {**layer("d", old("x")), "name": "e"}),
        "InvalidModel",
        "'d' is also called 'e'",
    ),
    "two layers of one name": (
        graph(*two("d", "d")),
        "InvalidModel",
        "share the name 'd'",
    ),
    "Keras 1 by its words": (
        chain(layer("d", output_dim=3, batch_input_shape=[None, 4])),
        "InvalidModel",
        "Keras 1",
    ),
    "Keras 1 by its version": (
        {**chain(given(), layer("d")), "keras_version": "1.2.2"},
        "InvalidModel",
        "Keras 1.2.2; load it with Keras 2",
    ),
    "no input shape": (chain(layer("d")), "InvalidModel", "does not say the shape"),
    "an open input shape": (
        chain(given(batch_shape=[None, None]), layer("d")),
        "InvalidModel",
        "is not fixed",
    ),
    "two input shapes": (
        chain(given(), layer("d"), build_input_shape=[None, 5]),
        "InvalidModel",
        "two input shapes",
    ),
    "another input shape of what is nested": (
        chain(chain(given(), layer("d"), name="m"), build_input_shape=[None, 5]),
        "InvalidModel",
        "two input shapes",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_understood_is_refused_by_name(case: str, refused: Refused) -> None:
    config, reason, says = REFUSED[case]
    refused(lambda: read(config), reason, says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[1]", "not the architecture"),
        (b'{"class_name": "Sequential"}', "not the architecture"),
        (b'{"class_name": "Sequential", "config": 3}', "damaged"),
    ],
)
def test_what_is_no_architecture_is_refused(text: bytes, says: str, refused: Refused) -> None:
    refused(lambda: read_here(ONE, text), "InvalidModel", says)


def kernels(model: Model) -> dict[str, float]:
    """The first number of each kernel, by which `named` tells groups apart."""
    return {e.name: e.weights["kernel"][0, 0] for e in model.layers if "kernel" in e.weights}


def test_weights_are_numbered_by_class_whatever_the_layers_are_called() -> None:
    stored = {f"layers/{at}/vars/0": KERNEL + i for i, at in enumerate(("dense", "dense_1"))}
    config = chain(given(), layer("z"), layer("r", kind="ReLU"), layer("a"))
    assert kernels(read(config, numbered(**stored))) == {"z": 0, "a": 1}


@pytest.mark.parametrize("between", ["/", "\\"])
def test_keras_2_called_the_layers_otherwise(between: str) -> None:
    at = between.join(("_layer_checkpoint_dependencies", "dense", "vars"))
    stored = numbered(**{f"{at}/0": KERNEL + 7})
    assert kernels(read(chain(given(), layer("d")), stored)) == {"d": 7}


def test_numbered_weights_of_another_model_are_refused(refused: Refused) -> None:
    config = chain(given(), layer("r", kind="ReLU"))
    refused(lambda: read(config, ONE), "InvalidModel", "'layers/dense/vars/0'", "one model")


def test_a_weight_that_a_layer_should_not_have_keeps_its_number() -> None:
    stored = {"layers/dense/vars/0": KERNEL, "layers/dense/vars/1": KERNEL}
    (_, dense) = read(chain(given(), layer("d")), numbered(**stored)).layers
    assert set(dense.weights) == {"kernel", "vars/1"}


def test_random_numbers_of_training_are_no_weights() -> None:
    stored = {"layers/dropout/seed_generator/vars/0": np.arange(2), "optimizer/vars/0": KERNEL}
    model = read(chain(given(), layer("d", kind="Dropout")), numbered(**stored))
    assert not model.layers[1].weights


AB = chain(given(), layer("a"), layer("b"))


def test_named_weights_of_another_session_are_read_by_their_order() -> None:
    stored = named({"dense_4": ["dense_4/kernel:0"], "dense_3": ["dense_3/kernel:0"]})
    assert kernels(read(AB, stored)) == {"a": 0, "b": 100}


def test_named_weights_without_a_list_are_read_by_their_names() -> None:
    assert kernels(read(AB, named({"b": ["b/kernel:0"], "a": ["a/kernel:0"]}, listed=False))) == {
        "a": 100,
        "b": 0,
    }


def test_a_kernel_that_tensorflow_counted_is_a_kernel() -> None:
    stored = named({"a": ["a_1/kernel_1:0"], "b": ["b/kernel:0"]})
    assert kernels(read(AB, stored)) == {"a": 0, "b": 100}


def test_a_long_list_of_names_may_be_in_parts() -> None:
    buffer = io.BytesIO(named({"a": ["a/kernel:0"], "b": ["b/kernel:0"]}))
    with h5py.File(buffer, "r+") as f:
        del f.attrs["layer_names"]
        f.attrs["layer_names0"], f.attrs["layer_names1"] = ["a"], ["b"]
    assert kernels(read(AB, buffer.getvalue())) == {"a": 0, "b": 100}


WEIGHTS_REFUSED = {
    "another order": (
        named({"b": ["b/kernel:0"], "a": ["a/kernel:0"]}),
        ("'b', 'a' in another order", "'a', 'b'"),
    ),
    "another number of layers": (
        named({"dense_1": ["dense_1/kernel:0"]}),
        ("1 layers ('dense_1')", "2 layers with weights ('a', 'b')", "the very model"),
    ),
}


@pytest.mark.parametrize("case", WEIGHTS_REFUSED)
def test_weights_that_do_not_fit_the_architecture_are_refused(case: str, refused: Refused) -> None:
    stored, says = WEIGHTS_REFUSED[case]
    refused(lambda: read(AB, stored), "InvalidModel", *says)


def test_weights_that_the_list_of_layers_has_not_are_refused(refused: Refused) -> None:
    buffer = io.BytesIO(named({"a": ["a/kernel:0"], "b": ["b/kernel:0"]}))
    with h5py.File(buffer, "r+") as f:
        f.attrs["layer_names"] = ["a"]
    refused(lambda: read(AB, buffer.getvalue()), "InvalidModel", "'b', which its list of layers")


def test_weights_of_a_nested_model_that_nothing_tells_apart_are_refused(refused: Refused) -> None:
    config = chain(given(), chain(layer("a"), layer("b"), name="m"))
    fits = named({"m": ["k/kernel:0", "l/kernel:0"]})
    assert set(kernels(read(config, fits))) == {"m/a", "m/b"}
    for paths in (["k/kernel:0", "l/bias:0"], ["k/kernel:0", "l/kernel:0", "n/kernel:0"]):
        refused(
            lambda paths=paths: read(config, named({"m": paths})),
            "InvalidModel",
            "nested layer 'm' (Sequential) cannot be told apart",
        )


def test_weights_of_one_name_in_a_nested_model_are_told_apart_by_their_order() -> None:
    parts = (chain(layer("d"), name=name) for name in ("left", "right"))
    config = chain(given(), chain(*parts, name="m"))
    stored = named({"m": ["q/d/kernel:0", "r/d/kernel:0"]})
    assert set(kernels(read(config, stored))) == {"m/left/d", "m/right/d"}


def test_the_backend_is_that_of_the_weights() -> None:
    config = {**AB, "backend": "tensorflow"}
    assert read(config, named({"a": [], "b": []}, backend="theano")).backend == "theano"
    assert read({**AB, "backend": "theano"}, named({"a": [], "b": []})).backend == "theano"


def test_bfloat16_is_the_upper_half_of_float32() -> None:
    exact = np.array([[1.0, -2.5, 0.0, 3.140625]] * 4, np.float32)
    upper = (exact.view(np.uint32) >> 16).astype(np.uint16).view("V2")
    (_, dense) = read(chain(given(), layer("d")), numbered(**{"layers/dense/vars/0": upper})).layers
    assert (dense.weights["kernel"] == exact).all()


def test_integers_stay_integers() -> None:
    stored = numbered(**{"layers/dense/vars/0": KERNEL.astype(np.int8)})
    (_, dense) = read(chain(given(), layer("d")), stored).layers
    assert dense.weights["kernel"].dtype == np.int8


@pytest.mark.parametrize("kind", ["S4", "c8", [("a", "f4")], bool])
def test_what_is_no_number_is_refused(kind: Any, refused: Refused) -> None:
    stored = numbered(**{"layers/dense/vars/0": np.zeros((4, 4), kind)})
    refused(lambda: read(chain(given(), layer("d")), stored), "InvalidModel", "not a number")
