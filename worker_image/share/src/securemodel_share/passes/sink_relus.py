"""ReLUs behind the max poolings after them."""

from __future__ import annotations

from dataclasses import replace

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node


def sink_relus(graph: Graph) -> Graph:
    """Of ReLUs and max poolings in a row, one ReLU at the end does: both keep the order of values,
    so they commute. Pooled values are fewer.
    """
    repeated: set[int] = set()
    lasts: set[int] = set()
    for at, node in enumerate(graph.nodes):
        if node.op != "relu":
            continue
        last = at
        while (reader := graph.only_reader(last)) is not None and graph.nodes[reader].op in (
            "relu",
            "max_pool",
        ):
            last = reader
        if last != at:
            repeated.add(at)
            lasts.add(last)

    def rewrite(out: Rewriter, at: int, node: Node) -> int | None:
        if at in repeated:
            return out.moved[node.inputs[0]]
        if at not in lasts or node.op == "relu":
            return None
        pooled = out.append(replace(node, inputs=(out.moved[node.inputs[0]],)))
        return out.append(Node("relu", node.shape, (pooled,), layer=node.layer))

    return Rewriter(graph, rewrite).run()
