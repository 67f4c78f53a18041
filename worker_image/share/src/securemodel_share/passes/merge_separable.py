"""Depthwise and pointwise convolutions, as one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node
from securemodel_share.ir.ops import Add, Conv2D, Shape

from .affine import is_along_last, put_addend, put_product
from .products import LARGEST_SHIFT

# nanoseconds of a request (docs/performance.md, Speed by multiplications and ReLUs): of a
# multiplication, of an element's truncation (half the bits of a ReLU's), and of its two hops
MULTIPLICATION, TRUNCATION, HOPS = 0.2, 45, 72_000


@dataclass(frozen=True, kw_only=True)
class Separable:
    """A convolution channel by channel, perhaps its bias, and the one pixel by pixel after it."""

    x: int
    depthwise: Conv2D
    between: Shape
    made: np.ndarray
    bias: np.ndarray | None
    pointwise: Conv2D
    after: Shape
    mixed: np.ndarray


def merge_separable(graph: Graph) -> Graph:
    """A convolution channel by channel, then one pixel by pixel: their kernels are multiplied in
    the clear where the multiplications that it adds cost less than the truncation between the two.
    """

    def rewrite(out: Rewriter, at: int, node: Node) -> int | None:
        pair = _separable(graph, at, node)
        return None if pair is None or not _pays(pair) else _merged(out, node, pair)

    return Rewriter(graph, rewrite).run()


def _separable(graph: Graph, at: int, node: Node) -> Separable | None:
    before, bias = graph.own(at), None
    if before is not None and isinstance(before.op, Add):
        bias = graph.weights[before.inputs[1]]
        before = graph.own(node.inputs[0])
    if before is None or not isinstance(node.op, Conv2D) or not isinstance(before.op, Conv2D):
        return None
    made, mixed = graph.weights[before.inputs[1]], graph.weights[node.inputs[1]]
    is_depthwise = before.op.groups > 1 and made.shape[2] == 1
    is_pointwise = node.op.groups == 1 and mixed.shape[:2] == (1, 1)
    is_alike = bias is None or is_along_last(bias)
    has_room = before.op.shift + node.op.shift <= LARGEST_SHIFT
    if not (is_depthwise and is_pointwise and is_alike and has_room):
        return None
    return Separable(
        x=before.inputs[0],
        depthwise=before.op,
        between=before.shape,
        # the channels of the input, then those that it makes of each
        made=made.reshape(*made.shape[:2], before.op.groups, -1),
        bias=bias,
        pointwise=node.op,
        after=node.shape,
        mixed=mixed.reshape(before.op.groups, -1, mixed.shape[3]),
    )


def _pays(pair: Separable) -> bool:
    between, after = math.prod(pair.between), math.prod(pair.after)
    pixels, each = math.prod(pair.made.shape[:2]), pair.made.shape[3]
    channels = pair.depthwise.groups
    added = after * channels * (pixels - each) - between * pixels
    return bool(added * MULTIPLICATION < between * TRUNCATION + HOPS)


def _merged(out: Rewriter, node: Node, pair: Separable) -> int:
    """One product, and what its bias becomes."""
    first, second = pair.depthwise, pair.pointwise
    stride = (first.stride[0] * second.stride[0], first.stride[1] * second.stride[1])
    op = replace(first, groups=1, stride=stride, shift=first.shift + second.shift)
    kernel = np.einsum("yxcm,cmo->yxco", pair.made, pair.mixed)
    last = put_product(out, node, op, out.moved[pair.x], kernel)
    if pair.bias is None:
        return last
    weight = pair.mixed.reshape(-1, pair.mixed.shape[2])
    bias = np.broadcast_to(pair.bias.reshape(-1), len(weight)) @ weight
    return put_addend(out, node, last, bias / 2.0**second.shift)
