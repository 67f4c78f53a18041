"""ReLUs behind the max poolings after them."""

from __future__ import annotations

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node
from securemodel_share.ir.ops import MaxPool, Relu


def sink_relus(graph: Graph) -> Graph:
    """Of ReLUs and max poolings in a row, one ReLU at the end does: both keep the order of values,
    so they commute. Pooled values are fewer.
    """
    repeated: set[int] = set()
    lasts: set[int] = set()
    for at, node in enumerate(graph.nodes):
        last = _last(graph, at)
        if isinstance(node.op, Relu) and last != at:
            repeated.add(at)
            lasts.add(last)

    def rewrite(out: Rewriter, at: int, node: Node) -> int | None:
        if at in repeated:
            return out.moved[node.inputs[0]]
        if at not in lasts or isinstance(node.op, Relu):
            return None
        pooled = out.put(node.op, node, out.moved[node.inputs[0]])
        return out.put(Relu(), node, pooled)

    return Rewriter(graph, rewrite).run()


def _last(graph: Graph, at: int) -> int:
    """The last of the ReLUs and max poolings in a row from here."""
    reader = graph.only_reader(at)
    while reader is not None and isinstance(graph.nodes[reader].op, (Relu, MaxPool)):
        at, reader = reader, graph.only_reader(reader)
    return at
