"""Reads a Keras .h5 file without running anything that is in it.

`keras.models.load_model` can execute code from a file (Lambda layers, custom objects). Here the
architecture is JSON, every layer of which is checked against what its class declares (layers/), and
weights are arrays, which are read only if they lie in the file itself. Keras 2 and Keras 3 write
the same layout.
"""

from __future__ import annotations

import io
import json
import math
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from . import architecture
from .refused import invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from securemodel_share.model import Model

# No supported network comes near; a header that claims more is an attack on our memory.
MAX_PARAMETERS = 1 << 28
BFLOAT16_BYTES = 2


def read(data: bytes) -> Model:
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
        except (
            OSError,
            LookupError,
            ValueError,
            TypeError,
            AttributeError,
            RuntimeError,
        ) as error:
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
    version = _text(file.attrs.get("keras_version", ""))
    if version.startswith("1."):
        raise invalid(
            f"the file was written by Keras {version}", "load it with Keras 2 and save it again"
        )
    groups = _inside(file, "model_weights")
    weights = _Weights(groups)
    model = architecture.read(config, weights.read, _backend(file, groups))
    weights.check_all_read(layer.name for layer in model.layers)
    return model


def _backend(file: h5py.File, groups: h5py.Group) -> str:
    """The Keras backend that wrote the weights: noted beside the weights and at the top."""
    said = {_text(o.attrs["backend"]) for o in (file, groups) if "backend" in o.attrs}
    if len(said) > 1:
        raise invalid(f"the file names two backends, {' and '.join(sorted(said))}")
    return said.pop() if said else "tensorflow"


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


class _Weights:
    """Layers' weights; together they may not be larger than MAX_PARAMETERS."""

    def __init__(self, groups: h5py.Group) -> None:
        self.groups = groups
        self.parameters = 0

    def read(self, layer: str) -> dict[str, np.ndarray]:
        """By short name: `kernel` for `conv2d/kernel:0`. A second of one name keeps its path."""
        if self.groups.get(layer, getlink=True) is None:
            return {}
        group = _inside(self.groups, layer)
        found: dict[str, np.ndarray] = {}
        for path in _weight_names(group):
            name = path.rsplit("/", 1)[-1].removesuffix(":0")
            found[path if name in found else name] = self._dataset(group, path, layer)
        return found

    def check_all_read(self, layers: Iterable[str]) -> None:
        """Weights of what is no layer of the model would change its predictions."""
        names = [_text(name) for name in self.groups.attrs.get("layer_names", [])]
        for name in sorted({*names, *self.groups} - set(layers)):
            if self.groups.get(name, getlink=True) and _weight_names(_inside(self.groups, name)):
                raise invalid(f"the file has weights of {name!r}, which is no layer of the model")

    def _dataset(self, group: h5py.Group, path: str, layer: str) -> np.ndarray:
        dataset = _inside(group, path)
        where = f"weight {path!r} of layer {layer!r}"
        if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
            raise invalid(f"{where} is not stored in the file itself")
        if dataset.dtype.kind == "V" and dataset.dtype.itemsize == BFLOAT16_BYTES:
            raise invalid(
                f"{where} is stored as bfloat16",
                "build the model with dtype policy 'float32', take over the weights "
                "(new.set_weights(old.get_weights())) and save that",
            )
        if dataset.dtype.kind not in "fiu":
            raise invalid(f"{where} is of type {dataset.dtype}, not a number")
        self.parameters += math.prod(dataset.shape)
        if self.parameters > MAX_PARAMETERS:
            raise invalid(f"the model has more than {MAX_PARAMETERS} parameters")
        value = np.asarray(dataset[()])
        return value.astype(np.float64) if value.dtype.kind == "f" else value


def _weight_names(group: Any) -> list[str]:
    return [_text(path) for path in group.attrs.get("weight_names", [])]
