"""A network as a list of calls (model.py): nested networks in their place, each call after those
that it reads.
"""

from __future__ import annotations

from collections import Counter
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from securemodel_share.model import Layer, Model

from .architecture import input_shape
from .refused import invalid, unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np

    from .network import Call, Entry, Network, Path, Reference

    # a layer's weights by short name
    Weights = Mapping[Path, dict[str, np.ndarray]]
    # which call of which entry
    At = tuple[str, int]

# A network that is nested and called twice, and so on, is a small file.
MAX_CALLS = 10_000
# what the call of a nested network may say: that this is inference, of one tensor or several
INFERENCE = {"training": ("None", "False"), "mask": ("None",)}
FLOATS = (None, "float16", "bfloat16", "float32", "float64")


def flatten(network: Network, weights: Weights, *, backend: str, keras: str) -> Model:
    """The model of a network; `weights` by the path of each layer. `backend`, `keras`: by whom.

    Raises:
        ShareError: InvalidModel or UnsupportedLayer, naming what was found.
    """
    flat = _Flat(weights)
    inputs = [flat.input(network, reference) for reference in network.inputs]
    outputs = flat.apply(network, (), inputs)
    return Model(
        name=network.name,
        input_shape=input_shape(network),
        layers=tuple(flat.layers.values()),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        backend=backend,
        keras=keras,
    )


class _Flat:
    """The layers so far, by name."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.layers: dict[str, Layer] = {}
        self.calls: Counter[Path] = Counter()

    def input(self, network: Network, reference: Reference) -> str:
        """An input of the model, which is a layer of its own."""
        entry = _entries(network).get(reference.layer)
        if entry is None or not entry.is_input:
            raise invalid(f"the model's input {reference.layer!r} is no InputLayer")
        return self._add(entry, (), (), {})

    def apply(self, network: Network, path: Path, tensors: list[str]) -> list[str]:
        """Calls a network on tensors, by the names of the layers that make them."""
        if len(network.inputs) != len(tensors):
            raise invalid(
                f"the model {network.name!r} has {len(network.inputs)} inputs and is called on "
                f"{len(tensors)}"
            )
        entries = _entries(network)
        values = {(i.layer, 0): [t] for i, t in zip(network.inputs, tensors, strict=True)}
        for name, index in _order(network, set(values)):
            call = entries[name].calls[index]
            operands = [_value(values, entries, reference) for reference in call.tensors]
            values[name, index] = self._call(entries[name], path, operands, call)
        return [_value(values, entries, reference) for reference in network.outputs]

    def _call(self, entry: Entry, path: Path, operands: list[str], call: Call) -> list[str]:
        if entry.network is None:
            return [self._add(entry, path, tuple(operands), call.arguments)]
        _check_nested(entry, call)
        return self.apply(entry.network, (*path, entry.name), operands)

    def _add(
        self, entry: Entry, path: Path, operands: tuple[str, ...], arguments: dict[str, Any]
    ) -> str:
        at = (*path, entry.name)
        self.calls[at] += 1
        name = "/".join(at) + (f" (call {self.calls[at]})" if self.calls[at] > 1 else "")
        if name in self.layers:
            raise invalid(
                f"two layers of the model share the name {name!r}", "give each layer its own name"
            )
        if len(self.layers) >= MAX_CALLS:
            raise unsupported(f"the model calls more than {MAX_CALLS} layers")
        self.layers[name] = Layer(
            kind=entry.kind,
            name=name,
            config=entry.config,
            weights=self.weights.get(at, {}),
            inputs=operands,
            arguments=arguments,
        )
        return name


def _entries(network: Network) -> dict[str, Entry]:
    return {entry.name: entry for entry in network.entries}


def _check_nested(entry: Entry, call: Call) -> None:
    """What a nested network would pass on to all of its layers, and its inputs do to tensors."""
    for key, value in call.arguments.items():
        said = {repr(part) for part in (value if isinstance(value, list) else [value])}
        if not said <= set(INFERENCE.get(key, ())):
            raise unsupported(
                f"{entry} is called with {key}={value!r:.80}, which is not understood", entry.name
            )
    assert entry.network is not None  # noqa: S101 - for mypy
    for inner in filter(lambda e: e.is_input, entry.network.entries):
        odd = [k for k in ("sparse", "ragged", "optional") if inner.config.get(k)]
        if odd or inner.config.get("dtype") not in FLOATS:
            raise unsupported(
                f"{inner} of the nested {entry} has {(odd or ['dtype'])[0]} "
                f"{inner.config.get((odd or ['dtype'])[0])!r:.80}, which is not understood",
                entry.name,
            )


def _order(network: Network, given: set[At]) -> Iterable[At]:
    """All calls of a network, each after those that it reads, otherwise as in the file."""
    entries = _entries(network)
    sorter: TopologicalSorter[At] = TopologicalSorter()
    for entry in network.entries:
        if not entry.calls and (entry.name, 0) not in given:
            raise invalid(f"{entry} is not called by the model")
        for index, call in enumerate(entry.calls):
            if not call.tensors:
                raise unsupported(f"{entry} reads no tensor", entry.name)
            sorter.add((entry.name, index), *(_at(entries, r) for r in call.tensors))
    try:
        order = list(sorter.static_order())
    except CycleError:
        raise invalid(f"layers of the model {network.name!r} read each other in a circle") from None
    return [at for at in order if at not in given]


def _at(entries: dict[str, Entry], reference: Reference) -> At:
    """The call that a reference means."""
    entry = entries.get(reference.layer)
    if entry is None:
        raise invalid(f"the model reads {reference.layer!r}, which is no layer of it")
    if not 0 <= reference.call < max(1, len(entry.calls)):
        raise invalid(f"the model reads call {reference.call} of {entry}, which there is not")
    return entry.name, reference.call


def _value(values: dict[At, list[str]], entries: dict[str, Entry], reference: Reference) -> str:
    made = values[_at(entries, reference)]
    if not 0 <= reference.tensor < len(made):
        raise unsupported(
            f"the model reads output {reference.tensor + 1} of {entries[reference.layer]}; "
            "one output of each layer is supported",
            reference.layer,
        )
    return made[reference.tensor]
