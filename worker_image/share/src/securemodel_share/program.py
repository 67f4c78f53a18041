"""The fixed-point program that players run (docs/program.md), and its making from a graph."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import Reason, ShareError
from .ir.ops import FRACTION_BITS, Add, Input, Op, Shape, Truncate, Weight

if TYPE_CHECKING:
    from .ir.graph import Graph

# of fixed-point values; products are bounded by ranges.py
WEIGHT_LIMIT = 2.0**47
BIAS_LIMIT = 2.0**62


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One line of the program. `layer`, which it comes from, stays here."""

    op: Op
    shape: Shape
    operands: tuple[int, ...] = ()
    layer: str = ""

    @property
    def keys(self) -> dict[str, Any]:
        """As docs/program.md has them."""
        line = {"op": self.op.name, "shape": [int(d) for d in self.shape], **self.op.keys()}
        return line | ({"in": list(self.operands)} if self.operands else {})


@dataclass
class Program:
    """Instructions, and beside them the plain weights as real numbers by instruction."""

    instructions: list[Instruction] = field(default_factory=list)
    weights: dict[int, np.ndarray] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The canonical bytes."""
        document = {
            "version": 1,
            "fraction_bits": FRACTION_BITS,
            "instructions": [i.keys for i in self.instructions],
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.encode()).hexdigest()

    @property
    def input_bound(self) -> float:
        """The largest absolute value that a client may send."""
        op = self.instructions[0].op
        return op.bound / 2**FRACTION_BITS if isinstance(op, Input) else 0.0

    def scale(self, at: int) -> int:
        """Of a weight."""
        return int(self.instructions[at].keys["scale"])

    def fixed_weights(self) -> dict[int, np.ndarray]:
        """The weights as signed ring elements, int64.

        Raises:
            ShareError: WeightsOutOfRange, naming the layer.
        """
        fixed = {}
        for at, value in self.weights.items():
            limit = WEIGHT_LIMIT if self.scale(at) == FRACTION_BITS else BIAS_LIMIT
            scaled = np.rint(value * 2.0 ** self.scale(at))
            if not (np.abs(scaled) < limit).all():
                message = (
                    f"layer {self.instructions[at].layer!r} has a weight that is too large for the "
                    "fixed point; "
                    "normalise the model (weight decay, or batch normalisation) and save it "
                    "again"
                )
                raise ShareError(Reason.WEIGHTS_OUT_OF_RANGE, message)
            fixed[at] = scaled.astype(np.int64)
        return fixed

    def append(self, op: Op, operands: tuple[int, ...] = (), layer: str = "") -> int:
        """One more instruction; its index."""
        shape = op.shape(*(self.instructions[i].shape for i in operands))
        line = Instruction(op=op, shape=shape, operands=operands, layer=layer)
        self.instructions.append(line)
        return len(self.instructions) - 1

    def append_weight(self, value: np.ndarray, scale: int, layer: str = "") -> int:
        """One more weight, real numbers that get this scale; its index."""
        at = self.append(Weight(tuple(value.shape), scale), layer=layer)
        self.weights[at] = value
        return at


def fix(graph: Graph, input_bound: float) -> Program:
    """Fixed-point code for a graph: one truncation a product, together with what follows it.

    Args:
        input_bound: the largest absolute value that a client may send.
    """
    return _Code(graph, round(input_bound * 2**FRACTION_BITS)).run()


class _Code:
    """The program of a graph in the making: what operations emit themselves through (ir/ops.py)."""

    def __init__(self, graph: Graph, bound: int) -> None:
        self.graph = graph
        self.bound = bound
        self.program = Program()
        self.made: dict[int, int] = {}

    def run(self) -> Program:
        for at, node in enumerate(self.graph.nodes):
            if at not in self.made and not isinstance(node.op, Weight):
                node.op.emit(self, at)
        return self.program

    def operands(self, at: int) -> tuple[int, ...]:
        nodes = self.graph.nodes
        inputs = nodes[at].inputs
        return tuple(self.made[i] for i in inputs if not isinstance(nodes[i].op, Weight))

    def weight(self, at: int, scale: int) -> int:
        source = self.graph.nodes[at].inputs[1]
        layer = self.graph.nodes[source].layer
        return self.program.append_weight(self.graph.weights[source], scale, layer)

    def append(self, at: int, op: Op, operands: tuple[int, ...] = ()) -> int:
        return self.program.append(op, operands, self.graph.nodes[at].layer)

    def define(self, at: int, value: int) -> None:
        self.made[at] = value

    def end_product(self, at: int, product: int, shift: int) -> None:
        """Its biases, then its one truncation, joined with a ReLU or output that follows."""
        while (reader := self.graph.only_reader(at)) is not None:
            op = self.graph.nodes[reader].op
            if isinstance(op, Add):
                bias = self.weight(reader, FRACTION_BITS + shift)
                product = self.made[reader] = self.append(reader, op, (product, bias))
                at = reader
                continue
            if op.truncated is not None:
                self.made[reader] = self.append(reader, op.truncated(shift), (product,))
                return
            break
        self.made[at] = self.append(at, Truncate(shift), (product,))
