"""Makes one graph out of another."""

from __future__ import annotations

from collections.abc import Callable

from .graph import Graph, Node
from .ops import Op, Weight


class Rewriter(Graph):
    """A graph in the making from another one: each node is copied unless `rewrite` says where its
    value is now. `moved`: old index to new one.
    """

    NOWHERE = -1

    def __init__(self, source: Graph, rewrite: Callable[[Rewriter, int, Node], int | None]) -> None:
        super().__init__()
        self.source = source
        self.rewrite = rewrite
        self.moved: dict[int, int] = {}

    def run(self) -> Graph:
        """The new graph."""
        for at, node in enumerate(self.source.nodes):
            if at in self.moved:
                continue
            new = self.rewrite(self, at, node)
            self.moved[at] = self._copy(at, node) if new is None else new
        return Graph(self.nodes, self.weights)

    def put(self, op: Op, node: Node, *inputs: int) -> int:
        """An operation in place of `node`, on new nodes."""
        return self.append(op, inputs, node.layer)

    def _copy(self, at: int, node: Node) -> int:
        if isinstance(node.op, Weight):
            return self.append_weight(self.source.weights[at], node.layer)
        return self.put(node.op, node, *(self.moved[i] for i in node.inputs))
