"""Rewrites of a recorded graph, each small and for itself. None looks at the values of weights: any weights of one architecture give the same program."""

from __future__ import annotations

import math

import numpy as np

from .graph import Graph, Node


def optimize(graph: Graph) -> Graph:
    """All passes, in order."""
    return split_pooling(merge_pooling(graph))


def merge_pooling(graph: Graph) -> Graph:
    """Average pooling right after a convolution becomes a sum before it: pool(x * w + b) = (sum(x) * w + p·b) / p for a window of p pixels.

    Sliding sums cost additions only, and the convolution is then computed for the pooled pixels alone. The division is free when p is a power of two (it joins the
    truncation); otherwise it goes into the weights.
    """
    out = Graph()
    moved: dict[int, int] = {}
    skipped: set[int] = set()
    for at, node in enumerate(graph.nodes):
        if at in skipped:
            continue
        chain = _pooled_convolution(graph, at)
        if chain is None:
            moved[at] = _copy(graph, out, moved, at)
            continue
        bias, pool = chain
        pixels = math.prod(pool.attributes["window"])
        exact = _is_power_of_two(pixels)
        x, w = node.inputs
        size, window = graph.nodes[x].shape, pool.attributes["window"]
        stride = node.attributes["stride"]
        summed = tuple(size[axis] - (window[axis] - 1) * stride[axis] for axis in (0, 1)) + size[2:]
        sums = out.append(Node("sum_pool", summed, (moved[x],), {"window": window, "dilation": stride, "stride": [1, 1]}, node.layer))
        kernel = out.append_weight(graph.weights[w] if exact else graph.weights[w] / pixels, node.layer)
        steps = [a * b for a, b in zip(stride, pool.attributes["stride"], strict=True)]
        last = out.append(Node("conv2d", pool.shape, (sums, kernel), {"stride": steps}, node.layer))
        if bias is not None:
            value = graph.weights[graph.nodes[bias].inputs[1]]
            added = out.append_weight(value * pixels if exact else value, node.layer)
            last = out.append(Node("add", pool.shape, (last, added), layer=node.layer))
            skipped.add(bias)
        if exact:
            last = out.append(Node("divide", pool.shape, (last,), {"divisor": pixels}, pool.layer))
        pool_at = graph.readers(at if bias is None else bias)[0]
        skipped.add(pool_at)
        moved[pool_at] = last
    return prune(out)


def split_pooling(graph: Graph) -> Graph:
    """Every other average pooling: a sum, then a division."""
    out = Graph()
    moved: dict[int, int] = {}
    for at, node in enumerate(graph.nodes):
        if node.op != "avg_pool":
            moved[at] = _copy(graph, out, moved, at)
            continue
        attributes = {"window": node.attributes["window"], "dilation": [1, 1], "stride": node.attributes["stride"]}
        sums = out.append(Node("sum_pool", node.shape, (moved[node.inputs[0]],), attributes, node.layer))
        moved[at] = out.append(Node("divide", node.shape, (sums,), {"divisor": math.prod(node.attributes["window"])}, node.layer))
    return prune(out)


def prune(graph: Graph) -> Graph:
    """Drops what nothing reads."""
    needed = {len(graph.nodes) - 1, 0}
    for at in reversed(range(len(graph.nodes))):
        if at in needed:
            needed.update(graph.nodes[at].inputs)
    out = Graph()
    moved: dict[int, int] = {}
    for at in sorted(needed):
        moved[at] = _copy(graph, out, moved, at)
    return out


def _pooled_convolution(graph: Graph, at: int) -> tuple[int | None, Node] | None:
    """For a convolution whose only reader is (a bias, whose only reader is) an average pooling: the bias's node and the pooling."""
    if graph.nodes[at].op != "conv2d":
        return None
    bias = None
    readers = graph.readers(at)
    if len(readers) == 1 and graph.nodes[readers[0]].op == "add":
        bias = readers[0]
        readers = graph.readers(bias)
    if len(readers) != 1 or graph.nodes[readers[0]].op != "avg_pool":
        return None
    return bias, graph.nodes[readers[0]]


def _copy(graph: Graph, out: Graph, moved: dict[int, int], at: int) -> int:
    node = graph.nodes[at]
    new = out.append(Node(node.op, node.shape, tuple(moved[i] for i in node.inputs), node.attributes, node.layer))
    if at in graph.weights:
        out.weights[new] = np.asarray(graph.weights[at])
    return new


def _is_power_of_two(n: int) -> bool:
    return n & (n - 1) == 0
