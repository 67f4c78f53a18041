"""Max poolings, an axis at a time."""

from __future__ import annotations

import math

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node
from securemodel_share.ir.ops import MaxPool, Shape


def split_max_pooling(graph: Graph) -> Graph:
    """The largest value of a window is that of the largest of its rows. Windows that overlap share
    these: fewer comparisons, where it takes no more levels of them.
    """

    def rewrite(out: Rewriter, _at: int, node: Node) -> int | None:
        if not isinstance(node.op, MaxPool):
            return None
        last = out.moved[node.inputs[0]]
        for pool in _cheapest(node.op, graph.nodes[node.inputs[0]].shape):
            last = out.put(pool, node, last)
        return last

    return Rewriter(graph, rewrite).run()


def _cheapest(pool: MaxPool, shape: Shape) -> list[MaxPool]:
    (height, width), (down, across) = pool.window, pool.stride
    columns = MaxPool(window=(height, 1), stride=(down, 1))
    rows = MaxPool(window=(1, width), stride=(1, across))
    ways = [[pool], [columns, rows], [rows, columns]]
    few = [way for way in ways if _levels(way) <= _levels([pool])]
    return min(few, key=lambda way: _comparisons(way, shape))


def _levels(way: list[MaxPool]) -> int:
    return sum((math.prod(pool.window) - 1).bit_length() for pool in way)


def _comparisons(way: list[MaxPool], shape: Shape) -> int:
    total = 0
    for pool in way:
        shape = pool.shape(shape)
        total += math.prod(shape) * (math.prod(pool.window) - 1)
    return total
