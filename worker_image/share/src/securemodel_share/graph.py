"""The recorded computation: what TF Encrypted calls appended, over real numbers, one row of the batch at a time.

Passes rewrite it (passes.py); `compile.py` turns it into the fixed-point program that players run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Node:
    """One operation. `shape` is the result's, without the batch dimension; `layer` names the Keras layer for messages.

    ops: input; weight; conv2d(x, w: stride); matmul(x, w); add(z, bias); avg_pool(x: window, stride); sum_pool(x: window, dilation, stride);
    relu(x); reshape(x); transpose(x: perm); output(x). conv2d and matmul carry `divisor`, a power of two that their result (bias included) is divided by.
    """

    op: str
    shape: tuple[int, ...]
    inputs: tuple[int, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    layer: str = ""

    def having(self, **changes: Any) -> Node:
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
        return [i for i, node in enumerate(self.nodes) if at in node.inputs]
