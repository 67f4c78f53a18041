"""Average pooling into the convolution before it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node
from securemodel_share.ir.ops import Add, AveragePool, Conv2D, Shape, SumPool

from .affine import is_along_last, spread
from .products import division


def merge_pooling(graph: Graph) -> Graph:
    """Average pooling right after a convolution becomes a sum before it: pool(x * w + b) = sum(x) *
    w / p + b for a window of p pixels.

    Sums cost additions only, and the convolution is then computed for the pooled pixels alone.
    """

    def rewrite(out: Rewriter, at: int, node: Node) -> int | None:
        bias, pool = _bias_and_reader(graph, at)
        pooling = None if pool is None else graph.nodes[pool].op
        if not isinstance(node.op, Conv2D) or not isinstance(pooling, AveragePool):
            return None
        found = division(math.prod(pooling.window), node.op.shift)
        if found is None:
            return None

        factor, shift = found
        x, w = node.inputs
        # the convolution of the input's window sums: neighbours of one pooling window lie `stride`
        # input pixels apart
        sums = SumPool(window=pooling.window, dilation=node.op.stride)
        stride = (node.op.stride[0] * pooling.stride[0], node.op.stride[1] * pooling.stride[1])
        summed = out.put(sums, node, out.moved[x])
        kernel = out.append_weight(graph.weights[w] * factor, node.layer)
        last = out.put(replace(node.op, stride=stride, shift=shift), node, summed, kernel)
        if bias is not None:
            added = graph.nodes[bias]
            value = _pooled(pooling, added.shape, graph.weights[added.inputs[1]])
            last = out.moved[bias] = out.put(
                added.op, added, last, out.append_weight(value, node.layer)
            )
        if pool is not None:
            out.moved[pool] = last
        return last

    return Rewriter(graph, rewrite).run()


def _pooled(pooling: AveragePool, shape: Shape, bias: np.ndarray) -> np.ndarray:
    """Of a bias, which may depend on the pixel."""
    if is_along_last(bias):
        return bias
    return np.asarray(pooling.evaluate(spread(bias, shape)[np.newaxis])[0])


def _bias_and_reader(graph: Graph, at: int) -> tuple[int | None, int | None]:
    """The bias that is added to a node, and what alone reads the two together."""
    reader = graph.only_reader(at)
    if reader is not None and isinstance(graph.nodes[reader].op, Add):
        return reader, graph.only_reader(reader)
    return None, reader
