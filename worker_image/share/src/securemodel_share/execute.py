"""Runs a program in the clear: over real numbers, or in fixed point as the players do. For tests,
and its linear maps for the range analysis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .program import FRACTION_BITS, Program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def execute(program: Program, x: np.ndarray) -> np.ndarray:
    """The program's result for `x` (B, ...row) over real numbers: nothing is rounded, weights are
    as they are.
    """
    unit = 2.0**FRACTION_BITS
    weights = {at: value * 2.0 ** program.scale(at) for at, value in program.weights.items()}
    return (
        _run(program, np.asarray(x, np.float64) * unit, weights, lambda z, shift: z / 2.0**shift)[
            -1
        ]
        / unit
    )


def execute_fixed(program: Program, x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The program's result for `x` (B, ...row) as the players compute it: a truncation gives the
    floor, or one more with the probability of the rest.
    """
    return execute_fixed_values(program, x, random)[-1] / 2.0**FRACTION_BITS


def execute_fixed_values(
    program: Program, x: np.ndarray, random: np.random.Generator
) -> list[np.ndarray]:
    """The ring elements of every instruction, int64; weights as they are, without a batch."""
    fixed = np.rint(np.asarray(x, np.float64) * 2.0**FRACTION_BITS).astype(np.int64)
    return _run(
        program,
        fixed,
        program.fixed_weights(),
        lambda z, shift: (z + random.integers(0, 1 << shift, z.shape)) >> shift,
    )


def _run(
    program: Program,
    x: np.ndarray,
    weights: dict[int, np.ndarray],
    truncate: Callable[[np.ndarray, int], np.ndarray],
) -> list[np.ndarray]:
    values: list[np.ndarray] = []
    for at, line in enumerate(program.instructions):
        if line.op == "input":
            values.append(x)
        elif line.op == "weight":
            values.append(weights[at])
        elif line.op.startswith("truncate"):
            z = truncate(values[line.operands[0]], line.keys["shift"])
            values.append(np.maximum(z, 0) if line.op == "truncate_relu" else z)
        elif line.op == "relu":
            values.append(np.maximum(values[line.operands[0]], 0))
        elif line.op == "max_pool":
            values.append(
                windows(values[line.operands[0]], line.keys["window"], line.keys["stride"]).max(
                    axis=(-2, -1)
                )
            )
        else:
            values.append(linear(program, at, [values[i] for i in line.operands]))
    return values


def linear(program: Program, at: int, operands: list[np.ndarray]) -> np.ndarray:
    """The result of one linear instruction, for a batch."""
    line = program.instructions[at]
    return LINEAR[line.op](line, *operands)


def windows(x: np.ndarray, window: Sequence[int], stride: Sequence[int]) -> np.ndarray:
    """x (B, H, W, C) as (B, H', W', C, *window): what each window sees, valid."""
    return sliding_window_view(x, tuple(window), axis=(1, 2))[:, :: stride[0], :: stride[1]]


def conv2d(x: np.ndarray, w: np.ndarray, stride: list[int]) -> np.ndarray:
    """x (B, H, W, C), w (kh, kw, C, O), valid."""
    return np.asarray(
        np.einsum("byxcij,ijco->byxo", windows(x, w.shape[:2], stride), w, optimize=True)
    )


def sum_pool(
    x: np.ndarray, window: list[int], dilation: list[int], stride: list[int]
) -> np.ndarray:
    """x (B, H, W, C)."""
    span = [(n - 1) * d + 1 for n, d in zip(window, dilation, strict=True)]
    summed: np.ndarray = windows(x, span, stride)[..., :: dilation[0], :: dilation[1]].sum(
        axis=(-2, -1)
    )
    return summed


LINEAR: dict[str, Callable[..., np.ndarray]] = {
    "conv2d": lambda line, x, w: conv2d(x, w, line.keys["stride"]),
    "matmul": lambda _, x, w: x @ w,
    "scale": lambda line, x: x * line.keys["factor"],
    "add": lambda _, z, w: z + w,
    "sum_pool": lambda line, x: sum_pool(
        x, line.keys["window"], line.keys["dilation"], line.keys["stride"]
    ),
    "reshape": lambda line, x: x.reshape(len(x), *line.shape),
    "transpose": lambda line, x: x.transpose(0, *(p + 1 for p in line.keys["perm"])),
    "output": lambda _, x: x,
}
