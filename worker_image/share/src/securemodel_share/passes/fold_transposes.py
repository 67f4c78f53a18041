"""Transpositions into the matrix after them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node


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
