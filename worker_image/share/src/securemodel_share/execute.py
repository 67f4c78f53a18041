"""Runs a program in the clear: over real numbers, or in fixed point as players do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .ir.ops import FRACTION_BITS, Input, Truncation, Weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .program import Program

    Truncate = Callable[[np.ndarray, int], np.ndarray]

UNIT = 2.0**FRACTION_BITS
# elements of a value of one batch
LARGEST_VALUE = 2**20


@dataclass(frozen=True, kw_only=True)
class Step:
    """An instruction that was computed: its operands and its value."""

    at: int
    operands: tuple[np.ndarray, ...]
    value: np.ndarray


def batches(program: Program, x: np.ndarray) -> Iterator[np.ndarray]:
    """x (B, ...row) in parts that are small enough for memory."""
    lines = program.instructions
    largest = max(math.prod(i.shape) for i in lines if not isinstance(i.op, Weight))
    rows = max(1, int(LARGEST_VALUE // largest))
    for first in range(0, len(x), rows):
        yield x[first : first + rows]


def execute(program: Program, x: np.ndarray) -> np.ndarray:
    """The program's result for `x` (B, ...row) over real numbers: nothing is rounded, weights are
    as they are.
    """
    return last(steps(program, x)).value / UNIT


def steps(program: Program, x: np.ndarray) -> Iterator[Step]:
    """Each instruction over real numbers, in units of the fixed point; x (B, ...row)."""
    weights = {at: value * 2.0 ** program.scale(at) for at, value in program.weights.items()}
    scaled = np.asarray(x, np.float64) * UNIT
    return _walk(program, scaled, weights, lambda z, shift: z / 2.0**shift)


def execute_fixed(program: Program, x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The program's result for `x` (B, ...row) as the players compute it: a truncation gives the
    floor, or one more with the probability of the rest.
    """
    return last(steps_fixed(program, x, random)).value / UNIT


def execute_fixed_values(
    program: Program, x: np.ndarray, random: np.random.Generator
) -> list[np.ndarray]:
    """The ring elements of every instruction, int64; weights as they are, without a batch."""
    return [step.value for step in steps_fixed(program, x, random)]


def steps_fixed(program: Program, x: np.ndarray, random: np.random.Generator) -> Iterator[Step]:
    """Each instruction in ring elements, int64; x (B, ...row)."""

    def truncate(z: np.ndarray, shift: int) -> np.ndarray:
        return np.asarray((z + random.integers(0, 1 << shift, z.shape)) >> shift)

    fixed = np.rint(np.asarray(x, np.float64) * UNIT).astype(np.int64)
    return _walk(program, fixed, program.fixed_weights(), truncate)


def last(walk: Iterator[Step]) -> Step:
    """The last step, which is the output's."""
    *_, step = walk
    return step


def _walk(
    program: Program, x: np.ndarray, weights: dict[int, np.ndarray], truncate: Truncate
) -> Iterator[Step]:
    """Instruction after instruction; a value is dropped behind its last reader."""
    readers = {i: at for at, line in enumerate(program.instructions) for i in line.operands}
    values: dict[int, np.ndarray] = {}
    for at, line in enumerate(program.instructions):
        operands = tuple(values[i] for i in line.operands)
        match line.op:
            case Input():
                value = x
            case Weight():
                value = weights[at]
            case Truncation(shift=shift):
                value = line.op.evaluate(truncate(operands[0], shift))
            case op:
                value = op.evaluate(*operands)
        values[at] = value
        yield Step(at=at, operands=operands, value=value)
        for i in line.operands:
            if readers[i] == at:
                values.pop(i, None)
