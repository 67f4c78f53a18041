"""The recorded computation: what TF Encrypted calls appended, over real numbers, one row of the
batch at a time.

Passes rewrite it (passes.py); `program.py` turns it into the fixed-point program that players run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Node:
    """One operation. `shape` is the result's, without the batch dimension; `layer` names the Keras
    layer for messages.

    ops and their attributes: input; weight; conv2d (stride, shift); matmul (shift); add, a bias
    along the last axis; avg_pool and max_pool (window, stride); sum_pool (window, dilation,
    stride); divide (divisor); relu; reshape; transpose (perm); output. Images are (H, W, C),
    kernels (kh, kw, C, O). A product is divided by 2^shift: constants that are powers of two join
    its truncation and cost nothing.
    """

    op: str
    shape: tuple[int, ...]
    inputs: tuple[int, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    layer: str = ""

    def having(self, **changes: Any) -> Node:
        """This node with some attributes set."""
        return replace(self, attributes={**self.attributes, **changes})


@dataclass
class Graph:
    """Nodes in order (operands come first) and the plain weights by node index."""

    nodes: list[Node] = field(default_factory=list)
    weights: dict[int, np.ndarray] = field(default_factory=dict)

    def append(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def append_weight(self, value: np.ndarray, layer: str) -> int:
        at = self.append(Node("weight", tuple(value.shape), layer=layer))
        self.weights[at] = value
        return at

    def readers(self, at: int) -> list[int]:
        """Indices of the nodes that read this one."""
        return [i for i, node in enumerate(self.nodes) if at in node.inputs]

    def only_reader(self, at: int) -> int | None:
        """The one node that reads this one, if it is one."""
        readers = self.readers(at)
        return readers[0] if len(readers) == 1 else None
