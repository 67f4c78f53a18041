"""Average pooling into the convolution before it."""

from __future__ import annotations

import math
from dataclasses import replace

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node

from .products import division


def merge_pooling(graph: Graph) -> Graph:
    """Average pooling right after a convolution becomes a sum before it: pool(x * w + b) = sum(x) *
    w / p + b for a window of p pixels.

    Sums cost additions only, and the convolution is then computed for the pooled pixels alone.
    """

    def rewrite(out: Rewriter, at: int, node: Node) -> int | None:
        bias, pool = _pooled_convolution(graph, at)
        if pool is None:
            return None
        pooling = graph.nodes[pool]
        window, stride = pooling.attributes["window"], node.attributes["stride"]
        found = division(math.prod(window), node.attributes["shift"])
        if found is None:
            return None
        factor, shift = found
        x, w = node.inputs
        size = graph.nodes[x].shape
        # the convolution of the input's window sums: neighbours of one pooling window lie `stride`
        # input pixels apart
        summed = (*(size[axis] - (window[axis] - 1) * stride[axis] for axis in (0, 1)), *size[2:])
        sums = out.append(
            Node(
                "sum_pool",
                summed,
                (out.moved[x],),
                {"window": window, "dilation": stride, "stride": [1, 1]},
                node.layer,
            )
        )
        kernel = out.append_weight(graph.weights[w] * factor, node.layer)
        steps = [a * b for a, b in zip(stride, pooling.attributes["stride"], strict=True)]
        last = out.append(
            Node(
                "conv2d",
                pooling.shape,
                (sums, kernel),
                {"stride": steps, "shift": shift},
                node.layer,
            )
        )
        if bias is not None:
            added = out.append_weight(graph.weights[graph.nodes[bias].inputs[1]], node.layer)
            last = out.append(replace(graph.nodes[bias], shape=pooling.shape, inputs=(last, added)))
            out.moved[bias] = last
        out.moved[pool] = last
        return last

    return Rewriter(graph, rewrite).run()


def _pooled_convolution(graph: Graph, at: int) -> tuple[int | None, int | None]:
    """For a convolution that goes straight, or through its bias, into an average pooling: the
    bias's node and the pooling's.
    """
    if graph.nodes[at].op != "conv2d":
        return None, None
    bias, reader = None, graph.only_reader(at)
    if reader is not None and graph.nodes[reader].op == "add":
        bias, reader = reader, graph.only_reader(reader)
    return (
        (bias, reader)
        if reader is not None and graph.nodes[reader].op == "avg_pool"
        else (None, None)
    )
