"""Divisions into the product after them."""

from __future__ import annotations

from dataclasses import replace

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node
from securemodel_share.ir.ops import Divide, Gather, MaxPool, Op, Product, Relu, Reshape, Transpose

from .products import division


def sink_divisions(graph: Graph) -> Graph:
    """A division before a product goes into the product's weights and truncation: (x / p) * w =
    (x * w) / p. It saves a truncation.
    """
    dropped: set[int] = set()
    divided: dict[int, tuple[float, int]] = {}
    for at, node in enumerate(graph.nodes):
        product = _product(graph, at)
        if not isinstance(node.op, Divide) or product is None:
            continue
        op = graph.nodes[product].op
        found = division(node.op.divisor, op.shift) if isinstance(op, Product) else None
        if found is not None:
            dropped.add(at)
            divided[product] = found

    def rewrite(out: Rewriter, at: int, node: Node) -> int | None:
        x = node.inputs[:1]
        if at in dropped:
            return out.moved[x[0]]
        if at not in divided or not isinstance(node.op, Product):
            return None
        factor, shift = divided[at]
        kernel = out.append_weight(graph.weights[node.inputs[1]] * factor, node.layer)
        return out.put(replace(node.op, shift=shift), node, out.moved[x[0]], kernel)

    return Rewriter(graph, rewrite).run()


def _product(graph: Graph, at: int) -> int | None:
    """What reads this node alone, behind what a division may pass."""
    reader = graph.only_reader(at)
    while reader is not None and _passes(graph.nodes[reader].op):
        reader = graph.only_reader(reader)
    return reader


def _passes(op: Op) -> bool:
    is_relu = isinstance(op, Relu) and not op.threshold
    return is_relu or isinstance(op, (Gather, MaxPool, Reshape, Transpose))
