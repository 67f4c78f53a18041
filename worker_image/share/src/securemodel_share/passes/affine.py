"""What passes know of factors and addends: of a value's elements, public numbers or weights that
are broadcast to them. Numbers are arrays without axes.

Everything here goes by shapes, never by values.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from securemodel_share.ir.ops import Add, AddConstant, Multiply, MultiplyConstant, Product, Shape

from .products import LARGEST_SHIFT

if TYPE_CHECKING:
    from securemodel_share.ir.builder import Rewriter
    from securemodel_share.ir.graph import Graph, Node


def factor(graph: Graph, node: Node) -> np.ndarray | None:
    """What the node multiplies by, if that is all it does."""
    if isinstance(node.op, MultiplyConstant):
        return np.array(node.op.factor)
    if isinstance(node.op, Multiply):
        return graph.weights[node.inputs[1]] / 2.0**node.op.shift
    return None


def addend(graph: Graph, node: Node) -> np.ndarray | None:
    """What the node adds, if that is all it does."""
    if isinstance(node.op, AddConstant):
        return np.array(node.op.value)
    return graph.weights[node.inputs[1]] if isinstance(node.op, Add) else None


def put_factor(out: Rewriter, node: Node, x: int, value: np.ndarray) -> int:
    """x times this, in place of `node`."""
    if value.ndim:
        return out.put(Multiply(), node, x, out.append_weight(value, node.layer))
    return out.put(MultiplyConstant(float(value)), node, x)


def put_addend(out: Rewriter, node: Node, x: int, value: np.ndarray) -> int:
    """x and this, in place of `node`."""
    if value.ndim:
        return out.put(Add(), node, x, out.append_weight(value, node.layer))
    return out.put(AddConstant(float(value)), node, x)


def put_product(
    out: Rewriter, node: Node, op: Product, x: int, weight: np.ndarray, number: float = 1.0
) -> int:
    """A product, times a number. What is a power of two in it goes into the truncation: weights
    keep their precision.
    """
    halvings = -math.floor(math.log2(abs(number))) if number else 0
    shift = min(max(op.shift + halvings, 0), LARGEST_SHIFT)
    kernel = out.append_weight(weight * (number * 2.0 ** (shift - op.shift)), node.layer)
    return out.put(replace(op, shift=shift), node, x, kernel)


def is_along_last(value: np.ndarray) -> bool:
    """It is the same for all elements that have the same index in the last axis."""
    return all(size == 1 for size in value.shape[:-1])


def aligned(value: np.ndarray, rank: int) -> np.ndarray:
    """With axes of 1 in front."""
    return value.reshape((1,) * (rank - value.ndim) + value.shape)


def spread(value: np.ndarray, shape: Shape) -> np.ndarray:
    """A row of that shape."""
    return np.broadcast_to(value, shape)
