"""Reshapes, transpositions and gathers in a row, as one; and those that change nothing, as none."""

from __future__ import annotations

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node
from securemodel_share.ir.ops import Gather, Op, Reshape, Shape, Transpose


def join_moves(graph: Graph) -> Graph:
    """One step of this: each of them with the one before it, whatever else reads that."""

    def rewrite(out: Rewriter, _at: int, node: Node) -> int | None:
        if not isinstance(node.op, (Reshape, Transpose, Gather)):
            return None
        source = graph.nodes[node.inputs[0]]
        if _is_nothing(node.op, source.shape, node.shape):
            return out.moved[node.inputs[0]]
        joined = _joined(source, node.op)
        return None if joined is None else out.put(joined, node, out.moved[source.inputs[0]])

    return Rewriter(graph, rewrite).run()


def _is_nothing(op: Op, before: Shape, after: Shape) -> bool:
    match op:
        case Reshape():
            return before == after
        case Transpose(perm=perm):
            return perm == tuple(range(len(perm)))
        case Gather(axis=axes, index=index):
            return all(at == tuple(range(before[a])) for a, at in zip(axes, index, strict=True))
    return False


def _joined(source: Node, op: Op) -> Op | None:
    match source.op, op:
        case Reshape(), Reshape():
            return op
        case Transpose(perm=first), Transpose(perm=second):
            return Transpose(tuple(first[axis] for axis in second))
        case Gather() as first, Gather() as second:
            return _in_turn(first, second)
    return None


def _in_turn(first: Gather, second: Gather) -> Gather:
    index = dict(zip(first.axis, first.index, strict=True))
    for axis, at in zip(second.axis, second.index, strict=True):
        before = index.get(axis)
        nowhere = Gather.NOWHERE
        index[axis] = at if before is None else tuple(nowhere if i < 0 else before[i] for i in at)
    axes = sorted(index)
    return Gather(tuple(axes), tuple(index[axis] for axis in axes))
