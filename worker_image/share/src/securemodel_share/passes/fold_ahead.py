"""Factors and addends into the products after them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node
from securemodel_share.ir.ops import (
    Add,
    AveragePool,
    Conv2D,
    Gather,
    MatMul,
    MaxPool,
    Multiply,
    Op,
    Product,
    Relu,
    Reshape,
    Shape,
    SumPool,
    Transpose,
)

from .affine import (
    addend,
    aligned,
    factor,
    is_along_last,
    put_addend,
    put_product,
    spread,
)
from .products import LARGEST_SHIFT

# a weight's factor divides pixels, which are up to 2^8, by as much: so many bits its product's
# weights would lose
FACTOR_BITS = 8


@dataclass(frozen=True, kw_only=True)
class Affine:
    """x · by + added; either may be none."""

    by: np.ndarray | None
    added: np.ndarray | None


def fold_ahead(graph: Graph) -> Graph:
    """A factor and an addend that reach nothing but products go into their weights and biases:
    (x · f + b) * w = x * (f · w) + b * w. What lies between may move values about and average them;
    where it puts zeros around them, the bias depends on the place. Positive numbers pass ReLUs.
    """
    folded: dict[int, Affine] = {}
    dropped: set[int] = set()
    for at in range(len(graph.nodes)):
        last = None if at in folded or at in dropped else _chain(graph, at)
        found = None if last is None else _products(graph, last, _affine(graph, at))
        if found is not None and last is not None:
            folded |= found
            dropped |= {at, last}

    def rewrite(out: Rewriter, at: int, node: Node) -> int | None:
        if at in dropped:
            return out.moved[node.inputs[0]]
        if at in folded and isinstance(node.op, Product):
            return _product(out, node, node.op, folded[at])
        return None

    return Rewriter(graph, rewrite).run()


def _chain(graph: Graph, at: int) -> int | None:
    """The last of a factor and an addend from here on, if there is what costs a truncation."""
    node, reader = graph.nodes[at], graph.only_reader(at)
    if factor(graph, node) is None:
        return at if isinstance(node.op, Add) and not _is_product(graph, node) else None
    has_addend = reader is not None and addend(graph, graph.nodes[reader]) is not None
    return reader if has_addend else at


def _is_product(graph: Graph, node: Node) -> bool:
    before = graph.nodes[node.inputs[0]]
    return isinstance(before.op, (Product, Add)) or factor(graph, before) is not None


def _affine(graph: Graph, at: int) -> Affine:
    node, by = graph.nodes[at], factor(graph, graph.nodes[at])
    reader = graph.only_reader(at)
    adds = node if by is None else None if reader is None else graph.nodes[reader]
    return Affine(by=by, added=None if adds is None else addend(graph, adds))


def _products(graph: Graph, at: int, value: Affine) -> dict[int, Affine] | None:
    """What reaches each of the products that read this node, if nothing else does."""
    found: dict[int, Affine] = {}
    for reader in graph.readers(at):
        node = graph.nodes[reader]
        if isinstance(node.op, Product):
            further = {reader: value} if _takes(node.op, value) else None
        else:
            moved = _through(node.op, graph.nodes[at].shape, value)
            further = None if moved is None else _products(graph, reader, moved)
        if further is None:
            return None
        found |= further
    return found or None


def _takes(op: Product, value: Affine) -> bool:
    """Whether a product can take the factor into its weights."""
    return value.by is None or isinstance(op, Multiply) or is_along_last(value.by)


def _through(op: Op, shape: Shape, value: Affine) -> Affine | None:
    """The factor and the addend of what the operation makes of a value of this shape, if it keeps
    to that form.
    """
    match op:
        case Reshape() | Transpose():
            return Affine(by=_moved(op, shape, value.by), added=_moved(op, shape, value.added))
        case Gather():
            # zeros may be multiplied by anything
            inside = replace(op, index=tuple(tuple(max(i, 0) for i in at) for at in op.index))
            return Affine(by=_moved(inside, shape, value.by), added=_moved(op, shape, value.added))
        case AveragePool() | SumPool() if value.by is None or is_along_last(value.by):
            return Affine(by=value.by, added=_pooled(op, shape, value.added))
        case Relu(threshold=0) | MaxPool() if _is_positive_number(value):
            return value
    return None


def _is_positive_number(value: Affine) -> bool:
    by = value.by
    return value.added is None and by is not None and not by.ndim and float(by) > 0


def _moved(op: Op, shape: Shape, value: np.ndarray | None) -> np.ndarray | None:
    """Of a row's elements, in their new places."""
    if value is None:
        return None
    if isinstance(op, Gather):
        return _gathered(op, shape, value)
    if isinstance(op, Transpose):
        return value if not value.ndim else aligned(value, len(shape)).transpose(op.perm)
    if is_along_last(value) and (not value.ndim or op.shape(shape)[-1] == shape[-1]):
        return value.reshape(value.shape[-1:])
    return np.asarray(op.evaluate(spread(value, shape)[np.newaxis])[0])


def _gathered(op: Gather, shape: Shape, value: np.ndarray) -> np.ndarray:
    """The axes along which it does not change stay as they are, unless zeros come into them."""
    sizes = list(aligned(value, len(shape)).shape)
    rest = {}
    for axis, index in zip(op.axis, op.index, strict=True):
        if sizes[axis] != 1 or Gather.NOWHERE in index:
            sizes[axis], rest[axis] = shape[axis], index
    if not rest:
        return value
    gather = Gather(tuple(rest), tuple(rest.values()))
    return np.asarray(gather.evaluate(np.broadcast_to(value, sizes)[np.newaxis])[0])


def _pooled(op: Op, shape: Shape, value: np.ndarray | None) -> np.ndarray | None:
    if value is None:
        return None
    pooled = np.asarray(op.evaluate(spread(value, shape)[np.newaxis])[0])
    return pooled[:1, :1] if is_along_last(value) else pooled


def _product(out: Rewriter, node: Node, op: Product, value: Affine) -> int:
    """The product that takes them up."""
    graph, (source, w) = out.source, node.inputs
    weight, number = graph.weights[w], 1.0
    added = (
        None if value.added is None else _bias(op, graph.nodes[source].shape, value.added, weight)
    )
    if value.by is not None and value.by.ndim:
        shift = min(op.shift + FACTOR_BITS, LARGEST_SHIFT)
        weight = _scaled(op, weight, value.by) * 2.0 ** (shift - op.shift)
        op = replace(op, shift=shift)
    elif value.by is not None:
        number = float(value.by)
    last = put_product(out, node, op, out.moved[source], weight, number)
    return last if added is None else put_addend(out, node, last, added)


def _scaled(op: Product, weight: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The weight of x · by."""
    match op:
        case Conv2D(groups=groups):
            channels = np.broadcast_to(by.reshape(-1), weight.shape[2] * groups)
            grouped = weight.reshape(*weight.shape[:3], groups, -1)
            scaled = grouped * channels.reshape(groups, -1).T[:, :, np.newaxis]
            return np.asarray(scaled.reshape(weight.shape))
        case MatMul():
            return np.asarray(weight * by.reshape(-1, 1))
    return np.asarray(weight * by)


def _bias(op: Product, shape: Shape, added: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """added * weight: of one place if it is the same for all of them."""
    weight = weight / 2.0**op.shift
    if isinstance(op, Multiply):
        return np.asarray(added * weight)
    full = np.asarray(op.multiply(spread(added, shape)[np.newaxis], weight)[0])
    return full.reshape(-1, full.shape[-1])[0] if is_along_last(added) else full
