"""Reshapes that change nothing."""

from __future__ import annotations

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node
from securemodel_share.ir.ops import Reshape


def drop_reshapes(graph: Graph) -> Graph:
    """A reshape to the same shape changes nothing."""

    def rewrite(out: Rewriter, _at: int, node: Node) -> int | None:
        same = isinstance(node.op, Reshape) and graph.nodes[node.inputs[0]].shape == node.shape
        return out.moved[node.inputs[0]] if same else None

    return Rewriter(graph, rewrite).run()
