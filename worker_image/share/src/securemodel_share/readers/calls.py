"""How a Functional model writes the calls of its layers.

Keras 2: a list of tensors [layer, call, tensor, {keyword: value}]. Keras 3:
{"args": [...], "kwargs": {...}} with tensors as {"class_name": "__keras_tensor__", ...}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .network import Call, Reference
from .refused import unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .network import Entry

REFERENCE = 3  # [layer, call, tensor]
# Keras 2: a value that stands where a tensor would: ["_CONSTANT_VALUE", -1, value, {...}]
CONSTANT = "_CONSTANT_VALUE"
# an operation of Keras 2, which takes its second tensor as a keyword
OPERATION = "TFOpLambda"
# keywords that name a tensor which a layer reads
TENSORS = {"inputs"}


def references(value: Any) -> tuple[Reference, ...]:
    """All tensors in a part of an architecture, in order."""
    return tuple(_found(value))


def _found(value: Any) -> Iterator[Reference]:
    if (one := _reference(value)) is not None:
        yield one
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _found(part)


def _reference(value: Any) -> Reference | None:
    if isinstance(value, dict):
        is_tensor = value.get("class_name") == "__keras_tensor__"
        value = value["config"]["keras_history"] if is_tensor else None
    if not isinstance(value, list) or len(value) < REFERENCE or not isinstance(value[0], str):
        return None
    if any(type(part) is not int for part in value[1:REFERENCE]):
        return None
    return Reference(*value[:REFERENCE])


def read(entry: Entry, node: Any) -> Call:
    """One of an entry's `inbound_nodes`.

    Raises:
        ShareError: UnsupportedLayer, naming the layer: the call is not understood.
    """
    if isinstance(node, dict) and "args" in node:
        return _keras_3(node)
    if not isinstance(node, list):
        raise _not_understood(entry, "tensors under names")
    return _keras_2(entry, node)


def _not_understood(entry: Entry, what: str) -> Exception:
    return unsupported(f"{entry} is called with {what}, which is not understood", entry.name)


def _keras_3(node: dict[str, Any]) -> Call:
    """Everything beside tensors is an argument, positional ones by their number."""
    tensors: list[Reference] = []
    arguments = {f"{key!r} of its call": node[key] for key in node.keys() - {"args", "kwargs"}}
    for i, value in enumerate(node["args"]):
        if read := _tensors(value, several=i == 0):
            tensors += read
        else:
            arguments[f"argument {i}"] = value
    for key, value in node.get("kwargs", {}).items():
        if key in TENSORS and (read := _tensors(value, several=True)):
            tensors += read
        else:
            arguments[key] = value
    return Call(tensors=tuple(tensors), arguments=arguments)


def _tensors(value: Any, *, several: bool) -> list[Reference]:
    """The tensor, or a list of tensors and nothing else; else nothing."""
    if (one := _reference(value)) is not None:
        return [one]
    many = [_reference(part) for part in value] if several and isinstance(value, list) else []
    return [one for one in many if one is not None] if None not in many else []


def _keras_2(entry: Entry, node: list[Any]) -> Call:
    tensors: list[Reference] = []
    arguments: dict[str, Any] = {}
    for i, part in enumerate([node] if _is_flat(node) else node):
        if (read := _reference(part)) is not None:
            tensors.append(read)
        elif isinstance(part, list) and part[:1] == [CONSTANT] and len(part) >= REFERENCE:
            arguments[f"argument {i}"] = part[2]
        else:
            raise _not_understood(entry, f"argument {i}")
        for more in part[REFERENCE:]:
            arguments = _merged(entry, arguments, more)
    if entry.kind == OPERATION:
        keywords = {k: r for k, v in arguments.items() if (r := _reference(v)) is not None}
        tensors += keywords.values()
        arguments = {k: v for k, v in arguments.items() if k not in keywords}
    return Call(tensors=tuple(tensors), arguments=arguments)


def _is_flat(node: list[Any]) -> bool:
    return bool(node) and isinstance(node[0], str)


def _merged(entry: Entry, arguments: dict[str, Any], more: Any) -> dict[str, Any]:
    """Keras 2 repeats the keywords of a call beside each of its tensors."""
    if not isinstance(more, dict):
        raise _not_understood(entry, repr(more)[:80])
    for key, value in more.items():
        if arguments.get(key, value) != value:
            raise _not_understood(entry, f"two values of {key}")
    return arguments | more
