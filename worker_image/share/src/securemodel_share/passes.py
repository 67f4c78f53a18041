"""Rewrites of a recorded graph, each small and for itself. None looks at the values of weights: any
weights of one architecture give the same program.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .graph import Graph, Node

if TYPE_CHECKING:
    from collections.abc import Callable

# docs/program.md: a truncation takes away 31 bits at most, 16 of which are the product's own
MAX_NODE_SHIFT = 31 - 16
PRODUCTS = ("conv2d", "matmul")
# a weight's rounding error, which adds up over a product's terms, would otherwise be the largest
# error; 4 bits cost 1 % more traffic
GUARD_BITS = 4


def optimize(graph: Graph) -> Graph:
    """All passes, in order."""
    for run in (
        sink_relus,
        merge_pooling,
        split_pooling,
        sink_divisions,
        fold_transposes,
        drop_reshapes,
        guard_weights,
    ):
        graph = prune(run(graph))
    return graph


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
        division = _division(math.prod(window), node.attributes["shift"])
        if division is None:
            return None
        factor, shift = division
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
            _division(node.attributes["divisor"], graph.nodes[reader].attributes["shift"])
            is not None
        ):
            sunk[reader] = at

    def rewrite(out: Rewriter, at: int, node: Node) -> int | None:
        if at in sunk.values():
            return out.moved[node.inputs[0]]
        if at not in sunk:
            return None
        division = _division(graph.nodes[sunk[at]].attributes["divisor"], node.attributes["shift"])
        assert division is not None  # noqa: S101 - asked above
        factor, shift = division
        kernel = out.append_weight(graph.weights[node.inputs[1]] * factor, node.layer)
        return out.append(
            replace(node, inputs=(out.moved[node.inputs[0]], kernel)).having(shift=shift)
        )

    return Rewriter(graph, rewrite).run()


def fold_transposes(graph: Graph) -> Graph:
    """A transposition that is flattened into a matrix product becomes a permutation of the matrix's
    rows, in the clear.
    """
    orders: dict[int, np.ndarray] = {}
    dropped: dict[int, int] = {}
    for at, node in enumerate(graph.nodes):
        flat = graph.only_reader(at)
        if node.op != "transpose" or flat is None or graph.nodes[flat].op != "reshape":
            continue
        product = graph.only_reader(flat)
        if product is None or graph.nodes[product].op != "matmul":
            continue
        before = graph.nodes[node.inputs[0]].shape
        # element i of the transposition is element moved[i] of what was transposed; it meets row i
        # of the matrix
        moved = (
            np.arange(math.prod(before)).reshape(before).transpose(node.attributes["perm"]).ravel()
        )
        orders[product] = np.argsort(moved)
        dropped[at] = product

    def rewrite(out: Rewriter, at: int, node: Node) -> int | None:
        if at in dropped:
            return out.moved[node.inputs[0]]
        if at not in orders:
            return None
        kernel = out.append_weight(graph.weights[node.inputs[1]][orders[at]], node.layer)
        return out.append(replace(node, inputs=(out.moved[node.inputs[0]], kernel)))

    return Rewriter(graph, rewrite).run()


def drop_reshapes(graph: Graph) -> Graph:
    """A reshape to the same shape changes nothing."""

    def rewrite(out: Rewriter, _at: int, node: Node) -> int | None:
        same = node.op == "reshape" and graph.nodes[node.inputs[0]].shape == node.shape
        return out.moved[node.inputs[0]] if same else None

    return Rewriter(graph, rewrite).run()


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


def prune(graph: Graph) -> Graph:
    """Drops what the output does not need; the input stays."""
    needed = {len(graph.nodes) - 1, 0}
    for at in reversed(range(len(graph.nodes))):
        if at in needed:
            needed.update(graph.nodes[at].inputs)
    return Rewriter(graph, lambda _out, at, _node: None if at in needed else Rewriter.NOWHERE).run()


class Rewriter(Graph):
    """A graph in the making from another one: each node is copied unless `rewrite` says where its
    value is now. `moved`: old index to new one.
    """

    NOWHERE = -1

    def __init__(self, source: Graph, rewrite: Callable[[Rewriter, int, Node], int | None]) -> None:
        super().__init__()
        self.source = source
        self.rewrite = rewrite
        self.moved: dict[int, int] = {}

    def run(self) -> Graph:
        for at, node in enumerate(self.source.nodes):
            if at in self.moved:
                continue
            new = self.rewrite(self, at, node)
            self.moved[at] = self._copy(at, node) if new is None else new
        return Graph(self.nodes, self.weights)

    def _copy(self, at: int, node: Node) -> int:
        if node.op == "weight":
            return self.append_weight(self.source.weights[at], node.layer)
        return self.append(replace(node, inputs=tuple(self.moved[i] for i in node.inputs)))


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


def _division(divisor: int, shift: int) -> tuple[float, int] | None:
    """Division of a product by `divisor`: a factor in [1, 2) for its weights, which so keep their
    precision, and the product's new shift. None: too large a shift.
    """
    bits = (divisor - 1).bit_length()
    return (2**bits / divisor, shift + bits) if shift + bits <= MAX_NODE_SHIFT else None
