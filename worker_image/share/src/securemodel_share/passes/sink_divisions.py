"""Divisions into the product after them."""

from __future__ import annotations

from dataclasses import replace

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node

from .products import PRODUCTS, division


def sink_divisions(graph: Graph) -> Graph:
    """A division before a product goes into the product's weights and truncation: (x / p) * w = (x
    * w) / p. It saves a truncation.
    """
    sunk: dict[int, int] = {}
    for at, node in enumerate(graph.nodes):
        if node.op != "divide":
            continue
        reader = graph.only_reader(at)
        while reader is not None and graph.nodes[reader].op in ("reshape", "transpose"):
            reader = graph.only_reader(reader)
        if reader is None or graph.nodes[reader].op not in PRODUCTS:
            continue
        if (
            division(node.attributes["divisor"], graph.nodes[reader].attributes["shift"])
            is not None
        ):
            sunk[reader] = at

    def rewrite(out: Rewriter, at: int, node: Node) -> int | None:
        if at in sunk.values():
            return out.moved[node.inputs[0]]
        if at not in sunk:
            return None
        found = division(graph.nodes[sunk[at]].attributes["divisor"], node.attributes["shift"])
        assert found is not None  # noqa: S101 - asked above
        factor, shift = found
        kernel = out.append_weight(graph.weights[node.inputs[1]] * factor, node.layer)
        return out.append(
            replace(node, inputs=(out.moved[node.inputs[0]], kernel)).having(shift=shift)
        )

    return Rewriter(graph, rewrite).run()
