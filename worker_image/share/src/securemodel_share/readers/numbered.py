"""Weights under the classes of layers, as Keras 3 writes `.weights.h5` and what is in `.keras`:
`layers/dense_1/vars/0` is the first weight of the second Dense, whatever the layers are called.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from . import hdf5
from .refused import invalid
from .variables import variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    import h5py
    import numpy as np

    from .network import Entry, Network, Path

    Weights = dict[Path, dict[str, np.ndarray]]

# the second: Keras 2.12
LAYERS = ("layers", "_layer_checkpoint_dependencies")
# what training keeps: a network's optimizer and metrics, and a Dropout's random numbers
OF_TRAINING = ("optimizer/", "_optimizer/", "optimizer.", "metrics/", "_metrics/")
SEED = "seed_generator/"


def is_this(file: h5py.Group) -> bool:
    """Whether a file has this form."""
    return any(_plain(name).split("/")[0] == LAYERS[0] for name in file)


def read(file: h5py.Group, network: Network, arrays: hdf5.Arrays) -> Weights:
    """All weights of a network.

    Raises:
        ShareError: InvalidModel, naming the layer.
    """
    training = tuple(_of_training(network, ""))
    stored = sorted(path for path in hdf5.datasets(file) if not _plain(path).startswith(training))
    places = dict(_places(network, "", ()))
    found: Weights = {}
    for path in stored:
        at = _place(_plain(path), places)
        if at is None:
            raise invalid(
                f"the file has weights at {path!r}, where the model has no layer",
                "check that the architecture and the weights are of one model",
            )
        layer, entry = places[at]
        rest = _plain(path).removeprefix(at)
        if not rest.startswith(SEED):
            where = f"weight {rest!r} of layer {entry.name!r}"
            array = arrays.read(hdf5.inside(file, path), where)
            found.setdefault(layer, {})[_word(entry, rest)] = array
    return found


def _named(network: Network, above: str) -> Iterator[tuple[str, Entry]]:
    """The layers by where they lie. Those of one class are counted within their network."""
    used: Counter[str] = Counter()
    for entry in network.entries:
        kind = _snake(entry.kind)
        name = f"{kind}_{used[kind]}" if used[kind] else kind
        used[kind] += 1
        yield f"{above}layers/{name}/", entry


def _places(network: Network, above: str, path: Path) -> Iterator[tuple[str, tuple[Path, Entry]]]:
    """Where each layer's weights lie, those of nested networks too."""
    for below, entry in _named(network, above):
        at = (*path, entry.name)
        if entry.network is None:
            yield below, (at, entry)
        else:
            yield from _places(entry.network, below, at)


def _of_training(network: Network, above: str) -> Iterator[str]:
    """Where training left what it keeps: a nested network may have been trained by itself."""
    yield from (above + word for word in OF_TRAINING)
    for below, entry in _named(network, above):
        if entry.network is not None:
            yield from _of_training(entry.network, below)


def _snake(kind: str) -> str:
    """As Keras writes the name of a class: `max_pooling2d` for MaxPooling2D."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()


def _plain(path: str) -> str:
    """A path as Keras 3 writes it; Keras 2 wrote another on Windows."""
    return path.replace("\\", "/").replace(LAYERS[1], LAYERS[0])


def _place(path: str, places: dict[str, tuple[Path, Entry]]) -> str | None:
    """The place that a dataset lies below; a layer's parts have names as deep as they like."""
    parts = path.split("/")
    ends = ("/".join(parts[:n]) + "/" for n in range(len(parts), 0, -1))
    return next((end for end in ends if end in places), None)


def _word(entry: Entry, rest: str) -> str:
    """The name of weight number n; what the layer should not have keeps its path."""
    names = {f"vars/{i}": variable.name for i, variable in enumerate(variables(entry))}
    return names.get(rest, rest)
