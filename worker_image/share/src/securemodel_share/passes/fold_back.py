"""Factors and addends into the product before them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node
from securemodel_share.ir.ops import (
    Add,
    AveragePool,
    Conv2D,
    Divide,
    MatMul,
    MultiplyConstant,
    Product,
    Reshape,
    Transpose,
)

from .affine import addend, aligned, factor, is_along_last, put_addend, put_factor, put_product

Put = Callable[[Rewriter, Node, int, np.ndarray], int]


def fold_back(graph: Graph) -> Graph:
    """One step of this: of factors and addends in a row one each stays, first the factor, before
    what only moves values. A factor goes on into the weights of a product, an addend is its bias.
    Batch normalisation, which is both, then costs nothing.

    Nothing is done to a value that something else reads too.
    """

    def rewrite(out: Rewriter, at: int, node: Node) -> int | None:
        before = graph.own(at)
        if before is None:
            return None
        if isinstance(node.op, AveragePool):
            return _pooled(out, node, before)
        by, added = factor(graph, node), addend(graph, node)
        if by is not None:
            moved = _moved(out, at, by, put_factor)
            return _multiplied(out, node, before, by) if moved is None else moved
        if added is not None:
            moved = _moved(out, at, added, put_addend)
            return _added(out, node, before, added) if moved is None else moved
        return None

    return Rewriter(graph, rewrite).run()


def _multiplied(out: Rewriter, node: Node, before: Node, by: np.ndarray) -> int | None:
    graph, op = out.source, before.op
    x = out.moved[before.inputs[0]] if before.inputs else Rewriter.NOWHERE
    added, other = addend(graph, before), factor(graph, before)
    if added is not None:
        return put_addend(out, before, put_factor(out, node, x, by), added * by)
    if other is not None:
        return put_factor(out, node, x, other * by)
    if isinstance(op, Divide) and not by.ndim:
        return put_factor(out, node, x, by / op.divisor)
    if isinstance(op, (Conv2D, MatMul)) and is_along_last(by):
        weight = graph.weights[before.inputs[1]]
        if by.ndim:
            return put_product(out, before, op, x, weight * by.reshape(-1))
        return put_product(out, before, op, x, weight, float(by))
    return None


def _added(out: Rewriter, node: Node, before: Node, value: np.ndarray) -> int | None:
    other = addend(out.source, before)
    if other is not None:
        return put_addend(out, node, out.moved[before.inputs[0]], other + value)
    # a number becomes a bias: it then is no obstacle between a product and its ReLU
    if isinstance(before.op, (Product, MultiplyConstant, Divide)) and not value.ndim:
        bias = np.full(before.shape[-1], value)
        return put_addend(out, node, out.moved[node.inputs[0]], bias)
    return None


def _moved(out: Rewriter, at: int, value: np.ndarray, put: Put) -> int | None:
    """A factor or an addend, before the move of values that stands between it and a product."""
    graph, node = out.source, out.source.nodes[at]
    move = graph.nodes[node.inputs[0]]
    earlier = _before(graph, move, value) if _ends_a_product(graph, node.inputs[0]) else None
    if earlier is None or not is_along_last(earlier):
        return None
    return out.put(move.op, move, put(out, node, out.moved[move.inputs[0]], earlier))


def _ends_a_product(graph: Graph, at: int) -> bool:
    """Whether nothing but moves of values is between this node and a product before it."""
    while isinstance(graph.nodes[at].op, (Reshape, Transpose)):
        if graph.own(at) is None:
            return False
        at = graph.nodes[at].inputs[0]
    return isinstance(graph.nodes[at].op, (Product, Add))


def _before(graph: Graph, move: Node, value: np.ndarray) -> np.ndarray | None:
    """The same on what the move is made of."""
    if isinstance(move.op, Transpose):
        perm = move.op.perm
        return aligned(value, len(perm)).transpose(np.argsort(perm)) if value.ndim else value
    keeps_last = graph.nodes[move.inputs[0]].shape[-1] == move.shape[-1]
    if isinstance(move.op, Reshape) and is_along_last(value) and (keeps_last or not value.ndim):
        return value.reshape(value.shape[-1:])
    return None


def _pooled(out: Rewriter, node: Node, before: Node) -> int | None:
    """A number multiplies the means, which are fewer."""
    if not isinstance(before.op, MultiplyConstant):
        return None
    pooled = out.put(node.op, node, out.moved[before.inputs[0]])
    return out.put(before.op, before, pooled)
