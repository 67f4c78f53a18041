"""The recorded computation: what TF Encrypted calls appended, over real numbers, one row of the
batch at a time.

Passes rewrite it (passes/); `program.py` turns it into the fixed-point program that players run.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .ops import Op, Shape, Weight


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operation on earlier nodes. `shape` is the result's, without the batch; `layer` names the
    Keras layer for messages.
    """

    op: Op
    shape: Shape
    inputs: tuple[int, ...] = ()
    layer: str = ""


@dataclass
class Graph:
    """Nodes in order (operands come first) and the plain weights by node index."""

    nodes: list[Node] = field(default_factory=list)
    weights: dict[int, np.ndarray] = field(default_factory=dict)
    _readers: list[list[int]] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for at, node in enumerate(self.nodes):
            self._note_readers(at, node)

    def append(self, op: Op, inputs: tuple[int, ...] = (), layer: str = "") -> int:
        """One more node; its index."""
        shape = op.shape(*(self.nodes[i].shape for i in inputs))
        node = Node(op=op, shape=shape, inputs=inputs, layer=layer)
        self.nodes.append(node)
        self._note_readers(len(self.nodes) - 1, node)
        return len(self.nodes) - 1

    def append_weight(self, value: np.ndarray, layer: str) -> int:
        """One more weight; its index."""
        at = self.append(Weight(tuple(value.shape)), layer=layer)
        self.weights[at] = value
        return at

    def readers(self, at: int) -> list[int]:
        """Indices of the nodes that read this one."""
        return self._readers[at]

    def only_reader(self, at: int) -> int | None:
        """The one node that reads this one, if it is one."""
        readers = self.readers(at)
        return readers[0] if len(readers) == 1 else None

    def own(self, at: int) -> Node | None:
        """The node that this one reads first, if nothing else reads it."""
        inputs = self.nodes[at].inputs
        is_own = bool(inputs) and self.only_reader(inputs[0]) == at
        return self.nodes[inputs[0]] if is_own else None

    def _note_readers(self, at: int, node: Node) -> None:
        self._readers.append([])
        for source in set(node.inputs):
            self._readers[source].append(at)
