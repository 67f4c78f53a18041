"""The architecture of a Keras model, which is JSON: layers, who reads whom, the input's shape.

Keras 2 and Keras 3 write the same with small differences. Whatever an entry says that is neither
understood here nor handed on with its layer is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from securemodel_share.model import Layer, Model

from .refused import invalid, unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    Weights = Callable[[str], dict[str, np.ndarray]]

CLASSES = ("Sequential", "Functional", "Model")
MODULES = ("keras", "tf_keras")
# what an entry of a layer may say; Keras reads nothing else
ENTRY_KEYS = {
    "class_name",
    "config",
    "name",
    "inbound_nodes",
    "module",
    "registered_name",
    "build_config",
    "shared_object_id",  # Keras's own count of objects
}
MODEL_KEYS = {
    "name",
    "layers",
    "input_layers",
    "output_layers",
    "build_input_shape",
    "trainable",  # a matter of training
    "dtype",  # each layer has its own
}
REFERENCE = 3  # [layer, call, tensor]


@dataclass(frozen=True)
class Call:
    """One call of a layer: the layers it reads, and its other arguments."""

    inputs: tuple[str, ...]
    arguments: dict[str, Any]


def read(config: dict[str, Any], weights: Weights, backend: str) -> Model:
    """The model that `config` describes; `weights` gives a layer's by the layer's name."""
    kind = config.get("class_name")
    if kind not in CLASSES or _is_custom(config):
        raise unsupported(
            f"the model is of class {kind!r}; Sequential models and linear Functional ones are "
            "supported"
        )
    inner = _inner(config["config"])
    entries = inner["layers"]
    _check_entries(entries)
    calls = list(_sequence(entries)) if kind == "Sequential" else [_calls(e) for e in entries]
    layers = tuple(
        Layer(
            kind=str(entry["class_name"]),
            name=str(entry["config"]["name"]),
            config=dict(entry["config"]),
            weights=weights(str(entry["config"]["name"])),
            inputs=call.inputs,
            arguments=call.arguments,
        )
        for entry, call in zip(entries, calls, strict=True)
    )
    return Model(
        name=str(inner.get("name", "model")),
        input_shape=_input_shape(entries, inner),
        layers=layers,
        inputs=tuple(_references(inner.get("input_layers", []))) or (layers[0].name,),
        outputs=tuple(_references(inner.get("output_layers", [])))
        if kind != "Sequential"
        else (layers[-1].name,),
        backend=backend,
    )


def _inner(config: Any) -> dict[str, Any]:
    inner = {"layers": config} if isinstance(config, list) else dict(config)  # list: early Keras 2
    for key in sorted(inner.keys() - MODEL_KEYS):
        raise unsupported(f"the model's configuration says {key!r}, which is not understood")
    if not inner["layers"]:
        raise invalid("the model has no layers")
    return inner


def _check_entries(entries: list[dict[str, Any]]) -> None:
    names: set[str] = set()
    for entry in entries:
        name = str(entry["config"]["name"])
        if _is_custom(entry):
            custom = entry.get("registered_name") or entry["class_name"]
            raise unsupported(
                f"layer {name!r} ({custom}) is a custom class, which is not loaded", name
            )
        for key in sorted(entry.keys() - ENTRY_KEYS):
            raise unsupported(
                f"layer {name!r} ({entry['class_name']}) comes with {key!r}, "
                "which is not understood",
                name,
            )
        if name in names or entry.get("name", name) != name:
            raise invalid(
                f"two layers of the model share the name {name!r}", "give each layer its own name"
            )
        names.add(name)


def _is_custom(entry: dict[str, Any]) -> bool:
    """Whether a class that is not Keras's own is meant, whatever it calls itself."""
    module = str(entry.get("module") or "keras").split(".")[0]
    return bool(entry.get("registered_name")) or module not in MODULES


def _sequence(entries: list[dict[str, Any]]) -> Iterator[Call]:
    before: tuple[str, ...] = ()
    for entry in entries:
        yield Call(before, {})
        before = (str(entry["config"]["name"]),)


def _calls(entry: dict[str, Any]) -> Call:
    """All calls of a layer in one: a layer that is called twice reads the inputs of both."""
    inputs: list[str] = []
    arguments: dict[str, Any] = {}
    for node in entry.get("inbound_nodes", []):
        inputs += _references(node)
        arguments |= _keras_3_arguments(node) if isinstance(node, dict) else _arguments(node)
    return Call(tuple(inputs), arguments)


def _arguments(node: list[Any]) -> dict[str, Any]:
    """Keras 2: the fourth of each [layer, call, tensor, {...}]."""
    references = [node] if _is_reference(node) else node
    found: dict[str, Any] = {}
    for reference in references:
        for more in reference[REFERENCE:]:
            found |= more
    return found


def _keras_3_arguments(node: dict[str, Any]) -> dict[str, Any]:
    """Everything beside tensors, positional arguments by their number."""
    positional = {f"argument {i}": value for i, value in enumerate(node.get("args", []))}
    given = positional | node.get("kwargs", {})
    other = {f"{key!r} of its call": node[key] for key in node.keys() - {"args", "kwargs"}}
    tensors = ("inputs", *positional)
    return other | {k: v for k, v in given.items() if not (k in tensors and _references(v))}


def _is_reference(value: list[Any]) -> bool:
    return len(value) >= REFERENCE and isinstance(value[0], str) and isinstance(value[1], int)


def _references(value: Any) -> list[str]:
    """The layers that a part of the architecture refers to: Keras 2 writes [layer, call, tensor,
    {...}], Keras 3 {"keras_history": [layer, call, tensor]}. A layer's second call or second tensor
    has a name that no layer has.
    """
    if isinstance(value, dict):
        if "keras_history" in value:
            return _references(value["keras_history"])
        return [name for part in value.values() for name in _references(part)]
    if not isinstance(value, list):
        return []
    if _is_reference(value):
        name, call, tensor = value[:REFERENCE]
        return [name if (call, tensor) == (0, 0) else f"{name} (call {call}, tensor {tensor})"]
    return [name for part in value for name in _references(part)]


def _input_shape(entries: list[dict[str, Any]], inner: dict[str, Any]) -> tuple[int, ...]:
    """The shape of one row. Everything that the file says about it has to agree."""
    first = entries[0]
    said = [
        first["config"].get("batch_shape"),
        first["config"].get("batch_input_shape"),
        (first.get("build_config") or {}).get("input_shape"),
        inner.get("build_input_shape"),
    ]
    shapes = [_plain(shape) for shape in said if shape]
    shape = shapes[0] if shapes else None
    if (
        not isinstance(shape, list)
        or len(shape) < 2  # noqa: PLR2004 - a batch and an axis
        or any(type(d) is not int or d < 1 for d in shape[1:])
    ):
        raise invalid(
            f"the input shape {shape} is not fixed: give the model an Input of fixed size"
        )
    for other in shapes[1:]:
        if not _agree(shape, other):
            raise invalid(f"the file says two input shapes, {shape} and {other}")
    return tuple(shape[1:])


def _plain(shape: Any) -> Any:
    """Keras 2 may write {"class_name": "TensorShape", "items": [...]}."""
    return shape.get("items") if isinstance(shape, dict) else shape


def _agree(shape: list[Any], other: Any) -> bool:
    """Whether two shapes are the same but for the batch and for axes that one leaves open."""
    if not isinstance(other, list) or len(other) != len(shape):
        return False
    return all(b is None or a == b for a, b in zip(shape[1:], other[1:], strict=True))
