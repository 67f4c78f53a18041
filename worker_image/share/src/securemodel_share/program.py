"""The fixed-point program that players run (docs/program.md), and its making from a graph."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import Reason, ShareError

if TYPE_CHECKING:
    from .ir.graph import Graph, Node

FRACTION_BITS = 16
# precision of a constant that is no power of two
CONSTANT_BITS = 24
# of fixed-point values; products are bounded by ranges.py
WEIGHT_LIMIT = 2.0**47
BIAS_LIMIT = 2.0**62


@dataclass(frozen=True)
class Instruction:
    """One line of the program: `keys` as docs/program.md has them, and the layer it comes from,
    which stays here.
    """

    keys: dict[str, Any]
    layer: str

    @property
    def op(self) -> str:
        return str(self.keys["op"])

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.keys["shape"])

    @property
    def operands(self) -> tuple[int, ...]:
        return tuple(self.keys.get("in", ()))


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

    def scale(self, at: int) -> int:
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
                    "normalise the model (weight decay, or fold batch normalisation) and save it "
                    "again"
                )
                raise ShareError(Reason.WEIGHTS_OUT_OF_RANGE, message)
            fixed[at] = scaled.astype(np.int64)
        return fixed

    def append(
        self,
        op: str,
        shape: tuple[int, ...],
        layer: str,
        operands: tuple[int, ...] = (),
        **keys: Any,
    ) -> int:
        line: dict[str, Any] = {"op": op, "shape": [int(d) for d in shape], **keys}
        if operands:
            line["in"] = list(operands)
        self.instructions.append(Instruction(line, layer))
        return len(self.instructions) - 1


def fix(graph: Graph, input_bound: float) -> Program:
    """Fixed-point code for a graph: one truncation a product, together with what follows it.

    Args:
        input_bound: the largest absolute value that a client may send.
    """
    return _Fixer(graph, input_bound).run()


class _Fixer:
    def __init__(self, graph: Graph, input_bound: float) -> None:
        self.graph = graph
        self.bound = round(input_bound * 2**FRACTION_BITS)
        self.program = Program()
        self.made: dict[int, int] = {}

    def run(self) -> Program:
        for at, node in enumerate(self.graph.nodes):
            if at not in self.made and node.op != "weight":
                self.emit(at, node)
        return self.program

    def emit(self, at: int, node: Node) -> None:
        operands = tuple(self.made[i] for i in node.inputs if self.graph.nodes[i].op != "weight")
        keys = dict(node.attributes)
        match node.op:
            case "input":
                self.made[at] = self.program.append(
                    "input", node.shape, node.layer, bound=self.bound
                )
            case "conv2d" | "matmul":
                shift = FRACTION_BITS + keys.pop("shift")
                w = self.weight(node.inputs[1], FRACTION_BITS)
                self.end_product(
                    at,
                    self.program.append(node.op, node.shape, node.layer, (*operands, w), **keys),
                    shift,
                )
            case "divide":
                factor, shift = reciprocal(keys["divisor"])
                self.end_product(
                    at,
                    self.program.append("scale", node.shape, node.layer, operands, factor=factor),
                    shift,
                )
            case "sum_pool" | "max_pool" | "relu" | "reshape" | "transpose" | "output":
                self.made[at] = self.program.append(
                    node.op, node.shape, node.layer, operands, **keys
                )
            case other:
                raise ShareError(
                    Reason.INTERNAL_ERROR,
                    f"no code for {other!r} of layer {node.layer!r}; please report this model",
                )

    def end_product(self, at: int, z: int, shift: int) -> None:
        """The biases of product `z`, then its one truncation, joined with a ReLU or output that
        follows. The product has 2^(16 + shift) to the unit.
        """
        while (reader := self.graph.only_reader(at)) is not None:
            node = self.graph.nodes[reader]
            if node.op == "add":
                z = self.program.append(
                    "add",
                    node.shape,
                    node.layer,
                    (z, self.weight(node.inputs[1], FRACTION_BITS + shift)),
                )
                at, self.made[reader] = reader, z
                continue
            if node.op in ("relu", "output"):
                self.made[reader] = self.program.append(
                    f"truncate_{node.op}", node.shape, node.layer, (z,), shift=shift
                )
                return
            break
        node = self.graph.nodes[at]
        self.made[at] = self.program.append("truncate", node.shape, node.layer, (z,), shift=shift)

    def weight(self, at: int, scale: int) -> int:
        value = self.graph.weights[at]
        new = self.program.append("weight", value.shape, self.graph.nodes[at].layer, scale=scale)
        self.program.weights[new] = value
        return new


def reciprocal(divisor: int) -> tuple[int, int]:
    """1/divisor as an integer factor and a shift."""
    if divisor & (divisor - 1) == 0:
        return 1, divisor.bit_length() - 1
    return round(2**CONSTANT_BITS / divisor), CONSTANT_BITS
