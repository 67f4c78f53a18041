"""Weights under the names of layers, as Keras 2 and Keras 3 write them into an `.h5` file: a group
for each layer of the outermost model, whose attribute `weight_names` lists its weights in order.

Keras reads them by their order alone. Here names and order have to say the same; where the names
are of another session (Dense layers are then called `dense_3`, say), the order has to fit.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import hdf5
from .refused import invalid
from .variables import VARIABLES, variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    import h5py
    import numpy as np

    from .network import Entry, Network, Path

    Weights = dict[Path, dict[str, np.ndarray]]
    # a layer's path, which of its weights, and whether it is trained
    Slot = tuple[Path, str, bool]

LAYERS = "layer_names"
WEIGHTS = "weight_names"


def read(groups: h5py.Group, network: Network, arrays: hdf5.Arrays, *, renamed: bool) -> Weights:
    """All weights of a network. `renamed`: whether layers may have other names in the file.

    Raises:
        ShareError: InvalidModel, naming the layer.
    """
    stored = [name for name in _names(groups, network) if _weights_of(groups, name)]
    found: Weights = {}
    for name, entry in zip(stored, _entries(network, stored, renamed=renamed), strict=True):
        group = hdf5.group(groups, name)
        where = f"layer {entry.name!r}"
        read = [(path, _array(group, path, where, arrays)) for path in _weights_of(groups, name)]
        if entry.network is None:
            found[entry.name,] = _short(entry, read)
        else:
            found |= _nested(entry, read)
    return found


def _names(groups: h5py.Group, network: Network) -> list[str]:
    """Keras's list of layers or, where there is none, the groups in the order of the layers."""
    listed = hdf5.texts(groups, LAYERS)
    beside = sorted(set(groups) - set(listed))
    if listed and (unlisted := [name for name in beside if _weights_of(groups, name)]):
        raise invalid(f"the file has weights of {unlisted[0]!r}, which its list of layers has not")
    order = [entry.name for entry in network.entries]
    known = [name for name in order if name in beside]
    return listed or known + [name for name in beside if name not in known]


def _weights_of(groups: h5py.Group, layer: str) -> list[str]:
    if groups.get(layer.split("/", maxsplit=1)[0], getlink=True) is None:
        return []
    return hdf5.texts(hdf5.group(groups, layer), WEIGHTS)


def _array(group: h5py.Group, path: str, where: str, arrays: hdf5.Arrays) -> np.ndarray:
    return arrays.read(hdf5.inside(group, path), f"weight {path!r} of {where}")


def _entries(network: Network, stored: list[str], *, renamed: bool) -> list[Entry]:
    """The entry of each group that has weights."""
    entries = {entry.name: entry for entry in network.entries}
    strange = [name for name in stored if name not in entries]
    if strange and not renamed:
        raise invalid(f"the file has weights of {strange[0]!r}, which is no layer of the model")
    if strange:
        return _by_order(network, stored)
    order = [entry.name for entry in network.entries if entry.name in stored]
    if order != stored:
        raise invalid(
            f"the file lists the weights of {_listed(stored)} in another order than the model's "
            f"layers, {_listed(order)}, and Keras reads them by their order"
        )
    return [entries[name] for name in stored]


def _by_order(network: Network, stored: list[str]) -> list[Entry]:
    """As Keras does it: the layers that have weights, one after the other."""
    wanted = [entry for entry in network.entries if _may_have_weights(entry)]
    if len(wanted) != len(stored):
        names = [entry.name for entry in wanted]
        raise invalid(
            f"the weights are of {len(stored)} layers ({_listed(stored)}), and the architecture "
            f"has {len(wanted)} layers with weights ({_listed(names)})",
            "give the architecture of the very model whose weights were saved",
        )
    return wanted


def _may_have_weights(entry: Entry) -> bool:
    if entry.network is not None:
        return any(_may_have_weights(inner) for inner in entry.network.entries)
    return entry.kind in VARIABLES


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")  # noqa: PLR2004


def _short(entry: Entry, stored: list[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """By short name: `kernel` for `conv2d/kernel:0`. A second of one name keeps its path."""
    found: dict[str, np.ndarray] = {}
    for path, array in stored:
        name = _word(path, {variable.name for variable in variables(entry)})
        found[path if name in found else name] = array
    return found


def _word(path: str, known: set[str]) -> str:
    """TensorFlow counts what it met before: `kernel_1` is a kernel."""
    name = path.rsplit("/", 1)[-1].removesuffix(":0")
    plain = re.sub(r"_\d+$", "", name)
    return plain if name not in known and plain in known else name


def _nested(entry: Entry, stored: list[tuple[str, np.ndarray]]) -> Weights:
    """The weights of a nested model, which all lie in one group."""
    assert entry.network is not None  # noqa: S101 - for mypy
    leaves = dict(entry.network.leaves((entry.name,)))
    by_name = _by_path(leaves, [path for path, _ in stored])
    if by_name is None:
        return _in_order(entry, leaves, stored)
    found: dict[Path, list[tuple[str, np.ndarray]]] = {}
    for path, array in stored:
        found.setdefault(by_name[_prefix(path)], []).append((path, array))
    return {at: _short(leaves[at], weights) for at, weights in found.items()}


def _prefix(path: str) -> str:
    return path.rpartition("/")[0]


def _by_path(leaves: dict[Path, Entry], paths: list[str]) -> dict[str, Path] | None:
    """The layer of each prefix: the one whose path ends alike, if that tells all of them apart."""
    found: dict[str, Path] = {}
    for prefix in dict.fromkeys(map(_prefix, paths)):
        alike = {at: _alike(at, prefix) for at in leaves}
        best = max(alike.values())
        layers = [at for at, score in alike.items() if score == best]
        if best == 0 or len(layers) > 1 or layers[0] in found.values():
            return None
        found[prefix] = layers[0]
    return found


def _alike(at: Path, prefix: str) -> int:
    """How many names at the end of a path a prefix has at its end."""
    ends = ("/".join(at[-n:]) for n in range(1, len(at) + 1))
    return sum(f"/{prefix}".endswith(f"/{end}") for end in ends)


def _in_order(
    entry: Entry, leaves: dict[Path, Entry], stored: list[tuple[str, np.ndarray]]
) -> Weights:
    """By Keras's order, if the weights' own names agree."""
    slots = sorted(_slots(leaves), key=_is_frozen)
    names = [name for _, name, _ in slots]
    if names != [_word(path, set(names)) for path, _ in stored]:
        raise invalid(
            f"the weights of the nested {entry} cannot be told apart by their names",
            "load the model in Keras and save it with model.save('model.keras'), with numbers",
        )
    found: Weights = {}
    for (at, name, _), (_, array) in zip(slots, stored, strict=True):
        found.setdefault(at, {})[name] = array
    return found


def _slots(leaves: dict[Path, Entry]) -> Iterator[Slot]:
    for at, leaf in leaves.items():
        for variable in variables(leaf):
            trained = variable.trained and leaf.config.get("trainable", True)
            yield at, variable.name, bool(trained)


def _is_frozen(slot: Slot) -> bool:
    """Keras lists what is trained before what is not."""
    _, _, trained = slot
    return not trained
