"""Runs a program in the clear: over real numbers, or in fixed point as players do. For tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .ir.ops import FRACTION_BITS, Input, Truncation, Weight

if TYPE_CHECKING:
    from collections.abc import Callable

    from .program import Program

    Truncate = Callable[[np.ndarray, int], np.ndarray]


def execute(program: Program, x: np.ndarray) -> np.ndarray:
    """The program's result for `x` (B, ...row) over real numbers: nothing is rounded, weights are
    as they are.
    """
    unit = 2.0**FRACTION_BITS
    weights = {at: value * 2.0 ** program.scale(at) for at, value in program.weights.items()}
    scaled = np.asarray(x, np.float64) * unit
    return _run(program, scaled, weights, lambda z, shift: z / 2.0**shift)[-1] / unit


def execute_fixed(program: Program, x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The program's result for `x` (B, ...row) as the players compute it: a truncation gives the
    floor, or one more with the probability of the rest.
    """
    return execute_fixed_values(program, x, random)[-1] / 2.0**FRACTION_BITS


def execute_fixed_values(
    program: Program, x: np.ndarray, random: np.random.Generator
) -> list[np.ndarray]:
    """The ring elements of every instruction, int64; weights as they are, without a batch."""

    def truncate(z: np.ndarray, shift: int) -> np.ndarray:
        return np.asarray((z + random.integers(0, 1 << shift, z.shape)) >> shift)

    fixed = np.rint(np.asarray(x, np.float64) * 2.0**FRACTION_BITS).astype(np.int64)
    return _run(program, fixed, program.fixed_weights(), truncate)


def _run(
    program: Program, x: np.ndarray, weights: dict[int, np.ndarray], truncate: Truncate
) -> list[np.ndarray]:
    values: list[np.ndarray] = []
    for at, line in enumerate(program.instructions):
        operands = [values[i] for i in line.operands]
        match line.op:
            case Input():
                values.append(x)
            case Weight():
                values.append(weights[at])
            case Truncation(shift=shift):
                values.append(line.op.evaluate(truncate(operands[0], shift)))
            case op:
                values.append(op.evaluate(*operands))
    return values
