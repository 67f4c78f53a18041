"""The architecture of a Keras model, which is JSON: layers, who reads whom, the input's shape.

Keras 2 and Keras 3 write the same with small differences. Whatever an entry says that is neither
understood here nor handed on with its layer is refused.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import calls, limits
from .network import Call, Entry, Network, Reference
from .refused import invalid, unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable

MODELS = ("Sequential", "Functional", "Model")
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
    "compile_config",  # how a nested model was trained
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
# words of Keras 1 that Keras 2 has not
KERAS_1 = {"nb_filter", "border_mode", "subsample", "nb_row"}
MAX_DEPTH = 32
KEEP_SHAPE = (
    "keras.Sequential(model.layers[:-1]) loses the shape: save the whole model, whose last softmax "
    "may stay, or cut it with keras.Model(model.inputs, model.layers[-2].output)"
)


def parse(text: bytes | str) -> dict[str, Any]:
    """The JSON of an architecture.

    Raises:
        ShareError: InvalidModel.
    """
    if len(text) > limits.TEXT:
        raise invalid(f"the model's architecture is longer than {limits.TEXT >> 20} MiB")
    try:
        config = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise invalid("the model's architecture is not JSON") from None
    if _is_deep(config):
        raise _too_deep()
    if not isinstance(config, dict) or not {"class_name", "config"} <= config.keys():
        raise invalid("the JSON is not the architecture of a model: it has no class_name or config")
    return config


def _too_deep() -> Exception:
    return invalid("the model's architecture is nested too deeply")


def _is_deep(value: Any) -> bool:
    """Whether JSON is nested deeper than whoever walks over it by recursion can bear."""
    level = [value]
    for _ in range(limits.NESTING):
        parts = (part.values() if isinstance(part, dict) else part for part in level)
        level = [one for part in parts for one in part if isinstance(one, (dict, list))]
        if not level:
            return False
    return True


def version(config: dict[str, Any]) -> str:
    """The Keras that wrote the JSON of `model.to_json()`: only Keras 2 says it.

    Raises:
        ShareError: InvalidModel: it was Keras 1.
    """
    said = str(config.get("keras_version") or ("3" if "registered_name" in config else ""))
    if said.startswith("1."):
        raise keras_1(said)
    return said


def read(config: dict[str, Any]) -> Network:
    """The network that `config` describes.

    Raises:
        ShareError: InvalidModel or UnsupportedLayer, naming what was found.
    """
    kind = config.get("class_name")
    if kind not in MODELS or _is_custom(config):
        raise unsupported(
            f"the model is of class {kind!r}; Sequential and Functional models are supported"
        )
    return _network(config, depth=0)


def _network(config: dict[str, Any], depth: int) -> Network:
    if depth > MAX_DEPTH:
        raise unsupported(f"models are nested more than {MAX_DEPTH} deep")
    inner = _inner(config["config"])
    written = inner["layers"]
    _check_entries(written)
    entries = tuple(_entry(entry, depth) for entry in written)
    shapes = (inner.get("build_input_shape"), (config.get("build_config") or {}).get("input_shape"))
    name = str(inner.get("name", "model"))
    if config["class_name"] == "Sequential":
        return _sequential(name, entries, (*_first_shapes(written), *shapes))
    return _functional(name, entries, inner, shapes)


def _inner(config: Any) -> dict[str, Any]:
    inner = {"layers": config} if isinstance(config, list) else dict(config)  # list: early Keras 2
    for key in sorted(inner.keys() - MODEL_KEYS):
        raise unsupported(f"the model's configuration says {key!r}, which is not understood")
    if not inner["layers"]:
        raise invalid("the model has no layers")
    return inner


def _entry(written: dict[str, Any], depth: int) -> Entry:
    kind, config = str(written["class_name"]), written["config"]
    network = _network(written, depth + 1) if kind in MODELS else None
    entry = Entry(
        kind=kind,
        name=_name(written),
        config=dict(config) if network is None else {},
        network=network,
    )
    nodes = written.get("inbound_nodes", [])
    return replace(entry, calls=tuple(calls.read(entry, node) for node in nodes))


def _name(written: dict[str, Any]) -> str:
    """A nested model of early Keras 2 is a list, and has its name beside it."""
    config = written["config"]
    name = config.get("name") if isinstance(config, dict) else None
    return str(name if name is not None else written["name"])


def _check_entries(entries: list[dict[str, Any]]) -> None:
    names: set[str] = set()
    for entry in entries:
        name = _name(entry)
        _check_entry(entry, name)
        if name in names:
            raise invalid(
                f"two layers of the model share the name {name!r}", "give each layer its own name"
            )
        names.add(name)


def _check_entry(entry: dict[str, Any], name: str) -> None:
    kind = entry["class_name"]
    if _is_keras_1(entry):
        raise keras_1("1")
    if _is_custom(entry):
        custom = entry.get("registered_name") or kind
        raise unsupported(f"layer {name!r} ({custom}) is a custom class, which is not loaded", name)
    if entry.get("name", name) != name:
        raise invalid(f"layer {name!r} is also called {entry['name']!r}")
    for key in sorted(entry.keys() - ENTRY_KEYS):
        raise unsupported(
            f"layer {name!r} ({kind}) comes with {key!r}, which is not understood", name
        )


def _is_custom(entry: dict[str, Any]) -> bool:
    """Whether a class that is not Keras's own is meant, whatever it calls itself. Keras registers
    its models and operations under their own names.
    """
    module = str(entry.get("module") or "keras").split(".")[0]
    registered = entry.get("registered_name")
    return registered not in (None, "", entry["class_name"]) or module not in MODULES


def _is_keras_1(entry: dict[str, Any]) -> bool:
    config = entry["config"]
    if not isinstance(config, dict):
        return False
    return bool(KERAS_1 & config.keys()) or (
        entry["class_name"] == "Dense" and "output_dim" in config
    )


def keras_1(version: str) -> Exception:
    """The refusal of what Keras 1 wrote."""
    return invalid(
        f"the file was written by Keras {version}",
        "load it with Keras 2 (2.2.5 reads files of Keras 1) and save it again",
    )


def _sequential(name: str, entries: tuple[Entry, ...], shapes: tuple[Any, ...]) -> Network:
    """A chain. Where the file has no input, one is added."""
    if not entries[0].is_input:
        given = next((shape for shape in shapes if shape), None)
        added = f"{entries[0].name}_input"
        config = {"name": added, "batch_shape": _plain(given)}
        entries = (Entry(kind="InputLayer", name=added, config=config), *entries)
    chained = [entries[0]]
    for entry in entries[1:]:
        before = Reference(chained[-1].name, 0, 0)
        chained.append(replace(entry, calls=(Call(tensors=(before,)),)))
    return Network(
        name=name,
        entries=tuple(chained),
        inputs=(Reference(chained[0].name, 0, 0),),
        outputs=(Reference(chained[-1].name, 0, 0),),
        shapes=shapes,
    )


def _functional(
    name: str, entries: tuple[Entry, ...], inner: dict[str, Any], shapes: tuple[Any, ...]
) -> Network:
    inputs = calls.references(inner["input_layers"])
    entries, outputs = _from_0(entries, calls.references(inner["output_layers"]))
    if not inputs or not outputs:
        raise invalid("the model has no inputs or no outputs")
    first = next((e.config for e in entries if e.name == inputs[0].layer), {})
    said = (first.get("batch_shape"), first.get("batch_input_shape"))
    return Network(
        name=name, entries=entries, inputs=inputs, outputs=outputs, shapes=(*said, *shapes)
    )


def _from_0(
    entries: tuple[Entry, ...], outputs: tuple[Reference, ...]
) -> tuple[tuple[Entry, ...], tuple[Reference, ...]]:
    """Entries and outputs with all calls counted from 0. Those of a nested network that was built
    on an input of its own are counted from 1, and this one is 0.
    """
    read = {(r.layer, r.call) for e in entries for c in e.calls for r in c.tensors}
    read |= {(r.layer, r.call) for r in outputs}
    late = {e.name for e in entries if e.network is not None and (e.name, 0) not in read}

    def counted(references: tuple[Reference, ...]) -> tuple[Reference, ...]:
        return tuple(r._replace(call=r.call - 1) if r.layer in late else r for r in references)

    counted_entries = [
        replace(e, calls=tuple(replace(c, tensors=counted(c.tensors)) for c in e.calls))
        for e in entries
    ]
    return tuple(counted_entries), counted(outputs)


def _first_shapes(entries: list[dict[str, Any]]) -> list[Any]:
    """What the first entries say of the shape that reaches them: the input, and whom it feeds."""
    said: list[Any] = []
    for entry in entries[:2]:
        config = entry["config"] if isinstance(entry["config"], dict) else {}
        said += [config.get("batch_shape"), config.get("batch_input_shape")]
        said.append((entry.get("build_config") or {}).get("input_shape"))
        if entry["class_name"] != "InputLayer":
            break
    return said


def input_shape(network: Network) -> tuple[int, ...]:
    """The shape of one row. Everything that the file says about it has to agree.

    Raises:
        ShareError: InvalidModel: the shape is not said, not fixed, or said in two ways.
    """
    shapes = [_plain(shape) for shape in _said(network) if shape]
    if not shapes:
        raise invalid("the file does not say the shape of the model's input", KEEP_SHAPE)
    shape = shapes[0]
    if not _is_fixed(shape):
        raise invalid(
            f"the input shape {shape} is not fixed: give the model an Input of fixed size"
        )
    for other in shapes[1:]:
        if not _agree(shape, other):
            raise invalid(f"the file says two input shapes, {shape} and {other}")
    return tuple(shape[1:])


def _said(network: Network) -> Iterable[Any]:
    """A nested network that reads the input says its shape as well."""
    yield from network.shapes
    first = Reference(network.inputs[0].layer, 0, 0)
    for entry in network.entries:
        if entry.network and entry.calls and entry.calls[0].tensors == (first,):
            yield from _said(entry.network)


def _is_fixed(shape: Any) -> bool:
    return (
        isinstance(shape, list)
        and len(shape) >= 2  # noqa: PLR2004 - a batch and an axis
        and all(type(d) is int and d > 0 for d in shape[1:])
    )


def _plain(shape: Any) -> Any:
    """Keras 2 may write {"class_name": "TensorShape", "items": [...]}, and a list of one shape."""
    if isinstance(shape, dict):
        return shape.get("items")
    if isinstance(shape, list) and len(shape) == 1 and isinstance(shape[0], (list, dict)):
        return _plain(shape[0])
    return shape


def _agree(shape: list[Any], other: Any) -> bool:
    """Whether two shapes are the same but for the batch and for axes that one leaves open."""
    if not isinstance(other, list) or len(other) != len(shape):
        return False
    return all(b is None or a == b for a, b in zip(shape[1:], other[1:], strict=True))
