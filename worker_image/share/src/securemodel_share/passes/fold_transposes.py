"""Transpositions into the matrix after them."""

from __future__ import annotations

import math

import numpy as np

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node
from securemodel_share.ir.ops import MatMul, Reshape, Transpose


def fold_transposes(graph: Graph) -> Graph:
    """A transposition that is flattened into a matrix product becomes a permutation of the matrix's
    rows, in the clear.
    """
    orders: dict[int, np.ndarray] = {}
    dropped: set[int] = set()
    for at, node in enumerate(graph.nodes):
        product = _flattened_into(graph, at)
        if isinstance(node.op, Transpose) and product is not None:
            orders[product] = _row_order(graph.nodes[node.inputs[0]].shape, node.op.perm)
            dropped.add(at)

    def rewrite(out: Rewriter, at: int, node: Node) -> int | None:
        if at in dropped:
            return out.moved[node.inputs[0]]
        if at not in orders:
            return None
        kernel = out.append_weight(graph.weights[node.inputs[1]][orders[at]], node.layer)
        return out.put(node.op, node, out.moved[node.inputs[0]], kernel)

    return Rewriter(graph, rewrite).run()


def _flattened_into(graph: Graph, at: int) -> int | None:
    """The matrix product that reads this node, and nothing else does, through a reshape."""
    flat = graph.only_reader(at)
    if flat is None or not isinstance(graph.nodes[flat].op, Reshape):
        return None
    if len(graph.nodes[flat].shape) > 1:
        return None
    product = graph.only_reader(flat)
    is_matrix = product is not None and isinstance(graph.nodes[product].op, MatMul)
    return product if is_matrix else None


def _row_order(before: tuple[int, ...], perm: tuple[int, ...]) -> np.ndarray:
    """The rows of the matrix in the order of what was transposed."""
    # element i of the transposition is element moved[i] of what was transposed; it meets row i
    moved = np.arange(math.prod(before)).reshape(before).transpose(perm).ravel()
    return np.argsort(moved)
