"""The fixed-point program that players run (docs/program.md), and its making from a graph."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import Reason, ShareError
from .ir.ops import FRACTION_BITS, Input, Op, Scale, Shape, Truncate, Truncation, Weight

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
    """Instructions, and beside them the plain weights as real numbers by instruction. `public` is
    what the client is told, and may be empty.
    """

    instructions: list[Instruction] = field(default_factory=list)
    weights: dict[int, np.ndarray] = field(default_factory=dict)
    public: dict[str, Any] = field(default_factory=dict)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The instructions, as docs/program.md has them."""
        return [instruction.keys for instruction in self.instructions]

    def encode(self) -> bytes:
        """The canonical bytes."""
        document = {
            "version": 1,
            "fraction_bits": FRACTION_BITS,
            "instructions": self.lines,
            **({"public": self.public} if self.public else {}),
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.encode()).hexdigest()

    @property
    def input_range(self) -> tuple[float, float]:
        """The smallest and the largest value that a client may send."""
        op = self.instructions[0].op
        low, high = (op.low, op.high) if isinstance(op, Input) else (0, 0)
        return low / 2**FRACTION_BITS, high / 2**FRACTION_BITS

    @property
    def input_bound(self) -> float:
        """The largest absolute value that a client may send."""
        return max(map(abs, self.input_range))

    def scale(self, at: int) -> int:
        """Of a weight."""
        return int(self.instructions[at].keys["scale"])

    def fixed_weights(self) -> dict[int, np.ndarray]:
        """The weights as signed ring elements, int64.

        Raises:
            ShareError: WeightsOutOfRange, naming the layer.
        """
        for at in self.weights:
            if not self.fits(at):
                message = (
                    f"layer {self.instructions[at].layer!r} has a weight that is too large for the "
                    "fixed point; normalise the model (weight decay, or batch normalisation) and "
                    "save it again"
                )
                raise ShareError(Reason.WEIGHTS_OUT_OF_RANGE, message)
        return {at: self._rounded(at).astype(np.int64) for at in self.weights}

    def fits(self, at: int) -> bool:
        """Whether a weight is not too large for the fixed point."""
        limit = WEIGHT_LIMIT if self.scale(at) == FRACTION_BITS else BIAS_LIMIT
        return bool((np.abs(self._rounded(at)) < limit).all())

    def _rounded(self, at: int) -> np.ndarray:
        return np.rint(self.weights[at] * 2.0 ** self.scale(at))

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


def fix(graph: Graph, low: float, high: float) -> Program:
    """Fixed-point code for a graph: a truncation each product, together with what follows it.

    Args:
        low: the smallest value that a client may send.
        high: the largest one.
    """
    return _Code(graph, round(low * 2**FRACTION_BITS), round(high * 2**FRACTION_BITS)).run()


class _Code:
    """The program of a graph in the making: what operations emit themselves through
    (ir/ops/base.py).

    A product stays one until its value is needed: what takes products reads it as such, however
    many others read it too.
    """

    def __init__(self, graph: Graph, low: int, high: int) -> None:
        self.graph = graph
        self.low, self.high = low, high
        self.program = Program()
        self.values: dict[int, int] = {}
        self.products: dict[int, tuple[int, int]] = {}

    def run(self) -> Program:
        for at, node in enumerate(self.graph.nodes):
            if not isinstance(node.op, Weight):
                node.op.emit(self, at)
        return self.program

    def shape(self, at: int) -> Shape:
        return self.graph.nodes[at].shape

    def operands(self, at: int) -> tuple[int, ...]:
        nodes = self.graph.nodes
        inputs = nodes[at].inputs
        return tuple(self._value(i) for i in inputs if not isinstance(nodes[i].op, Weight))

    def product(self, at: int) -> tuple[int, int]:
        source = self.graph.nodes[at].inputs[0]
        if source in self.products:
            return self.products[source]
        scaled = self.append(at, Scale(1 << FRACTION_BITS), (self._value(source),))
        return scaled, FRACTION_BITS

    def own_product(self, at: int) -> tuple[int, int] | None:
        source = self.graph.nodes[at].inputs[0]
        is_own = self.graph.only_reader(source) == at
        return self.products.get(source) if is_own else None

    def is_truncated(self, value: int) -> bool:
        found: list[bool] = []
        for line in self.program.instructions[: value + 1]:
            earlier = [found[i] for i in line.operands]
            is_done = isinstance(line.op, (Truncation, Weight))
            found.append(is_done or (bool(earlier) and all(earlier)))
        return found[value]

    def weight(self, at: int, scale: int) -> int:
        source = self.graph.nodes[at].inputs[1]
        layer = self.graph.nodes[source].layer
        return self.program.append_weight(self.graph.weights[source], scale, layer)

    def append(self, at: int, op: Op, operands: tuple[int, ...] = ()) -> int:
        return self.program.append(op, operands, self.graph.nodes[at].layer)

    def define(self, at: int, value: int) -> None:
        self.values[at] = value

    def define_product(self, at: int, product: int, shift: int) -> None:
        self.products[at] = (product, shift)

    def _value(self, at: int) -> int:
        """The value of a node, truncated by now."""
        if at not in self.values:
            product, shift = self.products[at]
            self.values[at] = self.append(at, Truncate(shift), (product,))
        return self.values[at]
