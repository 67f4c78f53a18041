"""Powers of two that move between a program's weights, so that values use the fixed point well.

A ReLU, a pooling, a sum keep a power of two that all their operands have. So between products a
value may be 2^k times what it was: the weights and biases before it are 2^k times larger, those
after it 2^k times smaller. The program stays as it is; only weights change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .ir.ops import (
    FRACTION_BITS,
    Add,
    AddConstant,
    Input,
    Output,
    Product,
    Relu,
    TruncateOutput,
    Truncation,
    Weight,
)

if TYPE_CHECKING:
    from .program import Instruction, Program
    from .ranges import Met, Ranges

# margin that is left on rows: more than is wanted (ranges.py), because these may not be the worst
LEFT = 64.0
# less is not worth another rounding of the weights
WORTH = 2
FURTHEST = 24
# variance of a truncation's and a weight's rounding, in squares of their last bit
TRUNCATED, ROUNDED = 1 / 6, 1 / 12


def rescale(program: Program, found: Met, proof: Ranges) -> Program:
    """The program with weights that suit what was met on rows, and that keep what is proved; itself
    if nothing is worth a move.
    """
    groups = grouped(program)
    exponents = _Moves(program=program, groups=groups, found=found, proof=proof).choose()
    if not any(exponents.values()):
        return program
    scaled = moved(program, groups, exponents)
    return scaled if all(map(scaled.fits, scaled.weights)) else program


def moved(program: Program, groups: list[int], exponents: dict[int, int]) -> Program:
    """The program with weights that make the values of each group 2^exponent times larger."""
    weights = dict(program.weights)
    for at, line in enumerate(program.instructions):
        if isinstance(line.op, (Product, Add)):
            value, weight = line.operands
            before = exponents[groups[value]] if isinstance(line.op, Product) else 0
            weights[weight] = weights[weight] * 2.0 ** (exponents[groups[at]] - before)
    return replace(program, weights=weights)


def free(program: Program, groups: list[int]) -> list[int]:
    """The groups whose power of two may be chosen, in order."""
    lines = program.instructions
    fixed = {group for group, line in zip(groups, lines, strict=True) if _is_fixed(line)}
    return [g for g in sorted(set(groups) - fixed) if isinstance(lines[g].op, Product)]


def grouped(program: Program) -> list[int]:
    """Of each instruction the first one whose power of two is its own: a product starts a new
    group, all else joins those that it reads.
    """
    groups: list[int] = []
    for at, line in enumerate(program.instructions):
        read = [] if isinstance(line.op, (Product, Weight)) else _values(program, line)
        joined = {groups[i] for i in read}
        first = min(joined, default=at)
        groups.append(first)
        groups = [first if group in joined else group for group in groups]
    return groups


def _values(program: Program, line: Instruction) -> list[int]:
    """What an instruction reads, weights left out."""
    return [i for i in line.operands if not isinstance(program.instructions[i].op, Weight)]


def _is_fixed(line: Instruction) -> bool:
    """Whether public numbers, or the client, say what a value is."""
    match line.op:
        case Input() | Output() | TruncateOutput() | AddConstant():
            return True
        case Relu(threshold=threshold):
            return bool(threshold)
    return False


@dataclass(frozen=True, kw_only=True)
class _Moves:
    """The choice of each group's power of two, one after the other; those to come count as 0."""

    program: Program
    groups: list[int]
    found: Met
    proof: Ranges

    def choose(self) -> dict[int, int]:
        exponents = dict.fromkeys(self.groups, 0)
        for group in free(self.program, self.groups):
            exponents[group] = self._of(group, exponents)
        return exponents

    def _of(self, group: int, exponents: dict[int, int]) -> int:
        """What suits precision, as far as ranges allow; what ranges demand, in any case."""
        most = self._most(group)
        wanted = self._wanted(group, exponents)
        wanted = 0 if abs(wanted) < WORTH else wanted
        return max(-FURTHEST, min(FURTHEST, wanted, most))

    def _most(self, group: int) -> int:
        """The largest power that leaves margins on rows, and proofs."""
        met = self.found.by_row.max(axis=1)
        most = math.inf
        for limit, value, proved in zip(self.found.limits, met, self.proof.limits, strict=True):
            if self.groups[limit.at] == group and value:
                most = min(most, _bits(limit.limit / (LEFT * value)))
                if proved.margin > 1:
                    most = min(most, max(0, _bits(proved.margin / 2)))
        return int(min(most, FURTHEST))

    def _wanted(self, group: int, exponents: dict[int, int]) -> int:
        """Where the rounding of the group's values, which a larger power makes smaller, adds as
        much error as that of the weights after it, which it makes larger.
        """
        before = sum(self._rounding(product, exponents) for product in self._products_into(group))
        wanted = [self._balance(product, before) for product in self._products_from(group)]
        known = [value for value in wanted if value is not None]
        return round(float(np.mean(known))) if known else 0

    def _rounding(self, product: int, exponents: dict[int, int]) -> float:
        """Variance of a product's values: of its weights' rounding and of its truncation."""
        x, w = self.program.instructions[product].operands
        op, weight = self.program.instructions[product].op, self.program.weights[w]
        terms = op.terms(weight.shape) if isinstance(op, Product) else 1
        last_bit = exponents[self.groups[x]] - self.program.scale(w) - self._guards(product)
        by_weights = ROUNDED * terms * float(self.found.squares[x]) * 4.0**last_bit
        return TRUNCATED * 4.0**-FRACTION_BITS + by_weights

    def _balance(self, product: int, before: float) -> float | None:
        """Of one product that reads the group; None: it is 0 anyway."""
        x, w = self.program.instructions[product].operands
        by_values = float(np.mean(self.program.weights[w] ** 2)) * before
        by_weights = float(self.found.squares[x]) * ROUNDED * 4.0 ** -self.program.scale(w)
        return math.log2(by_values / by_weights) / 4 if by_values and by_weights else None

    def _guards(self, product: int) -> int:
        """Bits that a product's weights have beyond the fixed point: its truncation takes them."""
        lines = self.program.instructions
        read = product
        for at in range(product + 1, len(lines)):
            if read in lines[at].operands:
                read = at
                if isinstance(op := lines[at].op, Truncation):
                    return op.shift - FRACTION_BITS
        return 0

    def _products_into(self, group: int) -> list[int]:
        return [i for i in self._products() if self.groups[i] == group]

    def _products_from(self, group: int) -> list[int]:
        lines = self.program.instructions
        return [i for i in self._products() if self.groups[lines[i].operands[0]] == group]

    def _products(self) -> list[int]:
        return [
            i for i, line in enumerate(self.program.instructions) if isinstance(line.op, Product)
        ]


def _bits(ratio: float) -> int:
    """The largest k with 2^k <= ratio."""
    return math.floor(math.log2(ratio))
