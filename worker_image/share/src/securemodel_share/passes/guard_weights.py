"""More precise weights."""

from __future__ import annotations

from dataclasses import replace

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node

from .products import MAX_NODE_SHIFT, PRODUCTS

# a weight's rounding error, which adds up over a product's terms, would otherwise be the largest
# error; 4 bits cost 1 % more traffic
GUARD_BITS = 4


def guard_weights(graph: Graph) -> Graph:
    """A product's weights get GUARD_BITS more bits, which its truncation takes away again."""

    def rewrite(out: Rewriter, _at: int, node: Node) -> int | None:
        if node.op not in PRODUCTS:
            return None
        shift = min(node.attributes["shift"] + GUARD_BITS, MAX_NODE_SHIFT)
        kernel = out.append_weight(
            graph.weights[node.inputs[1]] * 2.0 ** (shift - node.attributes["shift"]), node.layer
        )
        return out.append(
            replace(node, inputs=(out.moved[node.inputs[0]], kernel)).having(shift=shift)
        )

    return Rewriter(graph, rewrite).run()
