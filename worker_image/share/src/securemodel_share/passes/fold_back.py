"""Factors and addends into the product before them."""

from __future__ import annotations

import numpy as np

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node
from securemodel_share.ir.ops import AveragePool, Conv2D, Divide, MatMul, MultiplyConstant, Product

from .affine import addend, factor, is_along_last, put_addend, put_factor, put_product


def fold_back(graph: Graph) -> Graph:
    """One step of this: of factors and addends in a row one each stays, first the factor. A factor
    goes on into the weights of a product, an addend is its bias. Batch normalisation, which is
    both, then costs nothing.

    Only what nothing else reads is moved.
    """

    def rewrite(out: Rewriter, at: int, node: Node) -> int | None:
        before = graph.own(at)
        if before is None:
            return None
        if isinstance(node.op, AveragePool):
            return _pooled(out, node, before)
        by, added = factor(graph, node), addend(graph, node)
        if by is not None:
            return _multiplied(out, node, before, by)
        return None if added is None else _added(out, node, before, added)

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


def _pooled(out: Rewriter, node: Node, before: Node) -> int | None:
    """A number multiplies the means, which are fewer."""
    if not isinstance(before.op, MultiplyConstant):
        return None
    pooled = out.put(node.op, node, out.moved[before.inputs[0]])
    return out.put(before.op, before, pooled)
