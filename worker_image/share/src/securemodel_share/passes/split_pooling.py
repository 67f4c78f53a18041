"""The other average poolings, as a sum and a division."""

from __future__ import annotations

import math

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node
from securemodel_share.ir.ops import AveragePool, Divide, SumPool


def split_pooling(graph: Graph) -> Graph:
    """Every other average pooling: a sum, then a division."""

    def rewrite(out: Rewriter, _at: int, node: Node) -> int | None:
        if not isinstance(node.op, AveragePool):
            return None
        sums = SumPool(window=node.op.window, stride=node.op.stride)
        summed = out.put(sums, node, out.moved[node.inputs[0]])
        pixels = math.prod(node.op.window)
        return summed if pixels == 1 else out.put(Divide(pixels), node, summed)

    return Rewriter(graph, rewrite).run()
