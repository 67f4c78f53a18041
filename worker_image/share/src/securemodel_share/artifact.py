"""Reads a Keras .h5 file without running anything that is in it.

`keras.models.load_model` can execute code from a file (Lambda layers, custom objects). Here the architecture is JSON and the weights are arrays: `model_config` is
parsed, every layer is checked against an allow-list, and datasets are read only if they lie in the file itself. Keras 2 and Keras 3 write the same layout.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from .errors import Reason, ShareError

# No supported network comes near; a header that claims more is an attack on our memory.
MAX_PARAMETERS = 1 << 28


@dataclass(frozen=True)
class Layer:
    """One layer: its class, its configuration as Keras wrote it, its weights by short name (kernel, bias)."""

    kind: str
    name: str
    config: dict[str, Any]
    weights: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A chain of layers. `input_shape` is that of one row, channels last."""

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]


def invalid(why: str) -> ShareError:
    return ShareError(Reason.INVALID_MODEL, f"{why}; save the model with model.save('model.h5', include_optimizer=False) and set sha256 anew")


def check_sha256(data: bytes, expected: str) -> None:
    """Raises HashMismatch unless `data` has this SHA-256 (hex, any case)."""
    found = hashlib.sha256(data).hexdigest()
    if found != expected.lower():
        message = f"the artifact has SHA-256 {found}, spec.model.sha256 is {expected.lower()}; check which file was stored, then correct one of the two"
        raise ShareError(Reason.HASH_MISMATCH, message)


def read_model(data: bytes) -> Model:
    """The model in the bytes of an .h5 file.

    Raises:
        ShareError: InvalidModel or UnsupportedLayer, naming what was found.
    """
    try:
        file = h5py.File(io.BytesIO(data), "r")
    except OSError:
        raise invalid("the artifact is not an HDF5 file, or it is truncated") from None
    with file:
        try:
            return _read(file)
        except ShareError:
            raise
        except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise invalid(f"the artifact is damaged or not a Keras model ({type(error).__name__})") from error


def _read(file: h5py.File) -> Model:
    if "model_config" not in file.attrs:
        raise invalid("the file has no attribute model_config: it holds weights only, or was not written by Keras")
    text = file.attrs["model_config"]
    config = json.loads(text if isinstance(text, str) else bytes(text))
    kind = config.get("class_name")
    if kind not in ("Sequential", "Functional", "Model"):
        raise ShareError(Reason.UNSUPPORTED_LAYER, f"the model is of class {kind!r}; Sequential models and linear Functional ones are supported: docs/layers.md")
    inner = config["config"]
    entries = inner["layers"] if isinstance(inner, dict) else inner
    if kind != "Sequential":
        _check_chain(entries)
    groups = _hard(file, "model_weights")
    layers = [Layer(entry["class_name"], entry["config"]["name"], entry["config"], _weights(groups, entry["config"]["name"])) for entry in entries]
    name = inner.get("name", "model") if isinstance(inner, dict) else "model"
    return Model(str(name), _input_shape(entries, config), tuple(layers))


def _input_shape(entries: list[dict[str, Any]], config: dict[str, Any]) -> tuple[int, ...]:
    first = entries[0]["config"]
    shape = first.get("batch_shape") or first.get("batch_input_shape") or (entries[0].get("build_config") or {}).get("input_shape")
    if shape is None:
        shape = (config["config"].get("build_input_shape") if isinstance(config["config"], dict) else None) or None
    if not shape or len(shape) < 2 or any(not isinstance(d, int) or d < 1 for d in shape[1:]):  # noqa: PLR2004
        raise invalid(f"the input shape {shape} is not fixed; give the first layer an input_shape")
    return tuple(int(d) for d in shape[1:])


def _check_chain(entries: list[dict[str, Any]]) -> None:
    """Each layer of a Functional model must read the one before it, and nothing else."""
    for before, entry in zip(entries, entries[1:], strict=False):
        read = _references(entry.get("inbound_nodes", []))
        if read != [before["config"]["name"]]:
            names = ", ".join(map(repr, read)) or "nothing"
            message = f"layer {entry['config']['name']!r} reads {names}, not just the layer before it; branches are not supported yet: docs/layers.md"
            raise ShareError(Reason.UNSUPPORTED_LAYER, message)


def _references(node: Any) -> list[str]:
    """Names of the layers that inbound_nodes refers to: Keras 2 writes [name, node, tensor, {}], Keras 3 {"keras_history": [name, node, tensor]}."""
    if isinstance(node, dict):
        if "keras_history" in node:
            return [str(node["keras_history"][0])]
        return [name for value in node.values() for name in _references(value)]
    if isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and isinstance(node[1], int):  # noqa: PLR2004
            return [node[0]]
        return [name for value in node for name in _references(value)]
    return []


def _hard(group: h5py.Group, path: str) -> Any:
    """An object that lies in this file: soft and external links could point anywhere."""
    for part in path.split("/"):
        link = group.get(part, getlink=True)
        if link is None:
            raise invalid(f"{path!r} is missing")
        if not isinstance(link, h5py.HardLink):
            raise invalid(f"{path!r} is a link to somewhere else, which is not followed")
        group = group[part]
    return group


def _weights(groups: h5py.Group, layer: str) -> dict[str, np.ndarray]:
    if groups.get(layer, getlink=True) is None:
        return {}
    group = _hard(groups, layer)
    found: dict[str, np.ndarray] = {}
    for raw in group.attrs.get("weight_names", []):
        path = raw if isinstance(raw, str) else bytes(raw).decode()
        dataset = _hard(group, path)
        if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
            raise invalid(f"weight {path!r} of layer {layer!r} is not stored in the file itself")
        if dataset.size > MAX_PARAMETERS or dataset.dtype.kind not in "fiu":
            raise invalid(f"weight {path!r} of layer {layer!r} has {dataset.size} elements of type {dataset.dtype}")
        found[path.rsplit("/", 1)[-1].removesuffix(":0")] = np.asarray(dataset[()], dtype=np.float64)
    return found
