"""Graphs of operations: built by hand, drawn at random, computed over real numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from securemodel_share.ir import ops
from securemodel_share.ir.graph import Graph

if TYPE_CHECKING:
    from collections.abc import Callable

    from securemodel_share.program import Program

    Weights = Callable[[tuple[int, ...]], np.ndarray]


def evaluate(graph: Graph, x: np.ndarray) -> np.ndarray:
    """What the graph says, for `x` (B, ...row)."""
    values: list[np.ndarray] = []
    for at, node in enumerate(graph.nodes):
        operands = [values[i] for i in node.inputs]
        match node.op:
            case ops.Input():
                values.append(x)
            case ops.Weight():
                values.append(graph.weights[at])
            case ops.Product(shift=shift):
                values.append(node.op.evaluate(*operands) / 2.0**shift)
            case op:
                values.append(op.evaluate(*operands))
    return values[-1]


# bits sent for an element with a shift of 20, ASTRA (docs/protocol.md)
BITS = {"truncate": 341, "relu": 439, "truncate_relu": 673, "truncate_output": 213}


def bits(program: Program) -> int:
    """About what a row's computation sends."""
    total = 0
    for line in program.instructions:
        elements = int(np.prod(line.shape))
        if isinstance(line.op, ops.MaxPool):
            total += elements * (int(np.prod(line.op.window)) - 1) * BITS["relu"]
        total += elements * BITS.get(line.op.name, 0)
    return total


class Builder:
    """A graph in the making, of small values: each method appends what its draws say and returns
    the node.
    """

    def __init__(self, draw: Any, shape: tuple[int, ...], weights: Weights) -> None:
        self.draw, self.weights = draw, weights
        self.graph = Graph()
        self.made = [self.graph.append(ops.Input(shape))]

    def shape(self, at: int) -> tuple[int, ...]:
        return self.graph.nodes[at].shape

    def put(self, op: ops.Op, *inputs: int) -> None:
        self.made.append(self.graph.append(op, inputs, f"{op.name}_{len(self.graph.nodes)}"))

    def weight(self, shape: tuple[int, ...], terms: int = 1) -> int:
        value = self.weights(shape) / np.sqrt(terms)
        return self.graph.append_weight(value, f"weight_{len(self.graph.nodes)}")

    def some(self) -> int:
        """A value, most often the last."""
        return self.draw(st.sampled_from([*self.made, *self.made[-1:] * len(self.made)]))

    def images(self) -> list[int]:
        return [at for at in self.made if len(self.shape(at)) == 3]

    def pair(self, most: tuple[int, ...]) -> tuple[int, int]:
        a, b = (self.draw(st.integers(1, max(1, min(3, m)))) for m in most[:2])
        return a, b

    def conv(self) -> None:
        if not self.images():
            return
        x = self.draw(st.sampled_from(self.images()))
        height, width, channels = self.shape(x)
        size, stride = self.pair((height, width)), self.pair((2, 2))
        room = [(n - 1) // max(k - 1, 1) for n, k in zip((height, width), size, strict=True)]
        dilation = self.pair((room[0], room[1]))
        groups = self.draw(st.sampled_from([g for g in (1, channels, 2) if channels % g == 0]))
        filters = groups * self.draw(st.integers(1, 2))
        kernel = (*size, channels // groups, filters)
        conv = ops.Conv2D(stride=stride, dilation=dilation, groups=groups)
        self.put(conv, x, self.weight(kernel, int(np.prod(kernel[:3]))))

    def pointwise(self) -> None:
        x = self.made[-1]
        if len(self.shape(x)) == 3:
            channels = self.shape(x)[2]
            self.put(ops.Conv2D(), x, self.weight((1, 1, channels, 2), channels))

    def matmul(self) -> None:
        x = self.some()
        size = self.shape(x)[-1]
        self.put(ops.MatMul(), x, self.weight((size, self.draw(st.integers(1, 3))), size))

    def broadcast(self, x: int) -> int:
        shape = [n if self.draw(st.booleans()) else 1 for n in self.shape(x)[:-1]]
        along = [*shape, self.shape(x)[-1]]
        return self.weight(tuple(along[self.draw(st.integers(0, len(along) - 1)) :]))

    def multiply(self) -> None:
        x = self.some()
        self.put(ops.Multiply(), x, self.broadcast(x))

    def bias(self) -> None:
        x = self.some()
        self.put(ops.Add(), x, self.broadcast(x))

    def normalize(self) -> None:
        """As batch normalisation does."""
        x = self.some()
        channels = self.shape(x)[-1:]
        self.put(ops.Multiply(), x, self.weight(channels))
        self.put(ops.Add(), self.made[-1], self.weight(channels))

    def constant(self) -> None:
        number = self.draw(st.sampled_from([1 / 255, 0.3, -0.5, 1.0, 1.7]))
        op = self.draw(st.sampled_from([ops.AddConstant, ops.MultiplyConstant]))
        self.put(op(number), self.some())

    def relu(self) -> None:
        self.put(ops.Relu(), self.some())

    def pool(self) -> None:
        if not self.images():
            return
        x = self.draw(st.sampled_from([*self.images(), self.images()[-1]]))
        op = self.draw(st.sampled_from([ops.AveragePool, ops.MaxPool]))
        self.put(op(self.pair(self.shape(x)), self.pair((3, 3))), x)

    def gather(self) -> None:
        x = self.some()
        axes = self.draw(st.sets(st.sampled_from(range(len(self.shape(x)))), min_size=1))
        index = [
            self.draw(st.lists(st.integers(-1, self.shape(x)[a] - 1), min_size=1, max_size=6))
            for a in sorted(axes)
        ]
        self.put(ops.Gather(tuple(sorted(axes)), tuple(map(tuple, index))), x)

    def shaped(self) -> None:
        x = self.some()
        shape = self.shape(x)
        if self.draw(st.booleans()):
            self.put(ops.Transpose(tuple(self.draw(st.permutations(range(len(shape)))))), x)
        else:
            flat = (int(np.prod(shape)),)
            half = (int(np.prod(shape[:-1])), shape[-1])
            self.put(ops.Reshape(self.draw(st.sampled_from([flat, half]))), x)

    def two(self) -> None:
        x = self.some()
        alike = [at for at in self.made if self.shape(at) == self.shape(x)]
        op = self.draw(st.sampled_from([ops.Sum(), ops.Subtract(), ops.Concat(0)]))
        self.put(op, x, self.draw(st.sampled_from(alike)))

    def output(self) -> Graph:
        self.graph.append(ops.Output(), (self.made[-1],), "output")
        return self.graph


STEPS = [
    Builder.conv,
    Builder.pointwise,
    Builder.matmul,
    Builder.multiply,
    Builder.bias,
    Builder.normalize,
    Builder.constant,
    Builder.relu,
    Builder.pool,
    Builder.gather,
    Builder.shaped,
    Builder.two,
]


@st.composite
def graphs(draw: Any, weights: Weights | None = None) -> Graph:
    """Graphs of up to ten operations, most often in a row; values may be read several times."""
    shape = draw(st.sampled_from([(6, 5, 2), (4, 4, 4), (7,), (3, 4)]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    builder = Builder(draw, shape, weights or (lambda s: random.uniform(-1, 1, s)))
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=10)):
        step(builder)
    return builder.output()
