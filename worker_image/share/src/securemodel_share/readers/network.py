"""A network as its architecture writes it: entries, their calls, networks within networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# the names of nested networks from the outside in, and that of the layer
Path = tuple[str, ...]


class Reference(NamedTuple):
    """One tensor: which output of which call of a layer, counted as the file counts them."""

    layer: str
    call: int
    tensor: int


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a layer: the tensors that it reads, and its other arguments."""

    tensors: tuple[Reference, ...] = ()
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A layer or, if `network` is there, a network in its place. An input has no calls."""

    kind: str
    name: str
    config: dict[str, Any]
    calls: tuple[Call, ...] = ()
    network: Network | None = None

    @property
    def is_input(self) -> bool:
        return self.kind == "InputLayer"

    def __str__(self) -> str:
        return f"layer {self.name!r} ({self.kind})"


@dataclass(frozen=True, kw_only=True)
class Network:
    """Entries in the order of the file. `shapes`: all that it says about its (first) input's shape,
    with the batch, as it says it.
    """

    name: str
    entries: tuple[Entry, ...]
    inputs: tuple[Reference, ...]
    outputs: tuple[Reference, ...]
    shapes: tuple[Any, ...] = ()

    def leaves(self, path: Path = ()) -> Iterator[tuple[Path, Entry]]:
        """All layers, those of nested networks in their place."""
        for entry in self.entries:
            at = (*path, entry.name)
            if entry.network is None:
                yield at, entry
            else:
                yield from entry.network.leaves(at)
