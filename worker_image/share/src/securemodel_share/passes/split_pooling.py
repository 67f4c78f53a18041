"""The other average poolings, as a sum and a division."""

from __future__ import annotations

import math

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node


def split_pooling(graph: Graph) -> Graph:
    """Every other average pooling: a sum, then a division."""

    def rewrite(out: Rewriter, _at: int, node: Node) -> int | None:
        if node.op != "avg_pool":
            return None
        window = node.attributes["window"]
        attributes = {"window": window, "dilation": [1, 1], "stride": node.attributes["stride"]}
        sums = out.append(
            Node("sum_pool", node.shape, (out.moved[node.inputs[0]],), attributes, node.layer)
        )
        pixels = math.prod(window)
        return (
            sums
            if pixels == 1
            else out.append(Node("divide", node.shape, (sums,), {"divisor": pixels}, node.layer))
        )

    return Rewriter(graph, rewrite).run()
