"""Reads a Keras .h5 file without running anything that is in it.

`keras.models.load_model` can execute code from a file (Lambda layers, custom objects). Here the
architecture is JSON and the weights are arrays: `model_config` is parsed, every layer is checked
against an allow-list (lowering.py), and datasets are read only if they lie in the file itself.
Keras 2 and Keras 3 write the same layout.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from .errors import Reason, ShareError

# No supported network comes near; a header that claims more is an attack on our memory.
MAX_PARAMETERS = 1 << 28
CLASSES = ("Sequential", "Functional", "Model")


@dataclass(frozen=True)
class Layer:
    """One layer: its class, its configuration as Keras wrote it, its weights by short name (kernel,
    bias).
    """

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
    return ShareError(
        Reason.INVALID_MODEL,
        f"{why}; save the model with model.save('model.h5', include_optimizer=False) and set "
        "spec.model.sha256 anew",
    )


def check_sha256(data: bytes, expected: str) -> None:
    """Raises HashMismatch unless `data` has this SHA-256 (hex, any case)."""
    found = hashlib.sha256(data).hexdigest()
    if found != expected.lower():
        message = (
            f"the artifact has SHA-256 {found}, spec.model.sha256 is {expected.lower()}; "
            "check which file was stored, then correct one of the two"
        )
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
        except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise invalid(
                f"the artifact is damaged, or not a Keras model ({type(error).__name__})"
            ) from error


def _read(file: h5py.File) -> Model:
    if "model_config" not in file.attrs:
        raise invalid(
            "the file has no attribute model_config: it holds weights only, or was not written by "
            "Keras"
        )
    config = json.loads(_text(file.attrs["model_config"]))
    kind = config.get("class_name")
    if kind not in CLASSES or _is_custom(config):
        raise ShareError(
            Reason.UNSUPPORTED_LAYER,
            f"the model is of class {kind!r}; Sequential models and linear Functional ones are "
            "supported: docs/layers.md",
        )
    inner = config["config"]
    if isinstance(inner, list):  # a Sequential of an early Keras 2
        inner = {"layers": inner}
    entries = inner["layers"]
    if not entries:
        raise invalid("the model has no layers")
    for entry in entries:
        if _is_custom(entry):
            name, custom = (
                entry["config"]["name"],
                entry.get("registered_name") or entry["class_name"],
            )
            raise ShareError(
                Reason.UNSUPPORTED_LAYER,
                f"layer {name!r} ({custom}) is a custom class, which is not loaded; supported "
                "layers: docs/layers.md",
            )
    if kind != "Sequential":
        _check_chain(entries, inner)
    reader = _WeightReader(_inside(file, "model_weights"))
    layers = tuple(
        Layer(
            str(e["class_name"]),
            str(e["config"]["name"]),
            dict(e["config"]),
            reader.read(str(e["config"]["name"])),
        )
        for e in entries
    )
    return Model(str(inner.get("name", "model")), _input_shape(entries, inner), layers)


def _is_custom(entry: dict[str, Any]) -> bool:
    """Whether a class that is not Keras's own is meant, whatever it calls itself."""
    module = entry.get("module") or "keras"
    return bool(entry.get("registered_name")) or str(module).split(".")[0] not in (
        "keras",
        "tf_keras",
    )


def _input_shape(entries: list[dict[str, Any]], inner: dict[str, Any]) -> tuple[int, ...]:
    first = entries[0]["config"]
    built = (entries[0].get("build_config") or {}).get("input_shape") or inner.get(
        "build_input_shape"
    )
    shape = first.get("batch_shape") or first.get("batch_input_shape") or built
    if (
        not isinstance(shape, list)
        or len(shape) < 2  # noqa: PLR2004 - a batch and an axis
        or any(not isinstance(d, int) or d < 1 for d in shape[1:])
    ):
        raise invalid(
            f"the input shape {shape} is not fixed: give the model an Input of fixed size"
        )
    return tuple(shape[1:])


def _check_chain(entries: list[dict[str, Any]], inner: dict[str, Any]) -> None:
    """A Functional model must be a chain: each layer reads the one before it and nothing else, and
    the last one is the only output.
    """
    before: list[str] = []
    for entry in entries:
        name = str(entry["config"]["name"])
        read = _references(entry.get("inbound_nodes", []))
        if read != before:
            message = (
                f"layer {name!r} ({entry['class_name']}) reads {_listed(read)}, not "
                f"{_listed(before)}; "
                "branches and shared layers are not supported: docs/layers.md"
            )
            raise ShareError(Reason.UNSUPPORTED_LAYER, message)
        before = [name]
    outputs = _references(inner.get("output_layers", []))
    if outputs != before:
        message = (
            f"the model's outputs are {_listed(outputs)}; one output, of the last layer "
            f"{_listed(before)}, is supported: docs/layers.md"
        )
        raise ShareError(Reason.UNSUPPORTED_LAYER, message)


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"


def _references(node: Any) -> list[str]:
    """Names of the layers that inbound_nodes refers to: Keras 2 writes [name, node, tensor, {}],
    Keras 3 {"keras_history": [name, node, tensor]}.
    """
    if isinstance(node, dict):
        if "keras_history" in node:
            return [str(node["keras_history"][0])]
        return [name for value in node.values() for name in _references(value)]
    if isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and isinstance(node[1], int):  # noqa: PLR2004
            return [node[0]]
        return [name for value in node for name in _references(value)]
    return []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else bytes(value).decode()


def _inside(group: h5py.Group, path: str) -> Any:
    """An object that lies in this file: soft and external links could point anywhere."""
    for part in path.split("/"):
        link = group.get(part, getlink=True)
        if link is None:
            raise invalid(f"{path!r} is missing from the file")
        if not isinstance(link, h5py.HardLink):
            raise invalid(f"{path!r} is a link to somewhere else, which is not followed")
        group = group[part]
    return group


class _WeightReader:
    """Reads layers' weights; together they may not be larger than MAX_PARAMETERS."""

    def __init__(self, groups: h5py.Group) -> None:
        self.groups = groups
        self.parameters = 0

    def read(self, layer: str) -> dict[str, np.ndarray]:
        if self.groups.get(layer, getlink=True) is None:
            return {}
        group = _inside(self.groups, layer)
        paths = [_text(path) for path in group.attrs.get("weight_names", [])]
        return {
            path.rsplit("/", 1)[-1].removesuffix(":0"): self._dataset(group, path, layer)
            for path in paths
        }

    def _dataset(self, group: h5py.Group, path: str, layer: str) -> np.ndarray:
        dataset = _inside(group, path)
        where = f"weight {path!r} of layer {layer!r}"
        if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
            raise invalid(f"{where} is not stored in the file itself")
        if dataset.dtype.kind not in "fiu":
            raise invalid(f"{where} is of type {dataset.dtype}, not a number")
        self.parameters += math.prod(dataset.shape)
        if self.parameters > MAX_PARAMETERS:
            raise invalid(f"the model has more than {MAX_PARAMETERS} parameters")
        return np.asarray(dataset[()], dtype=np.float64)
