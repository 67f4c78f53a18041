"""Runs a program in the clear: over real numbers, or in fixed point as the players do. For tests, and its linear maps for the range analysis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .program import FRACTION_BITS, Program


def execute(program: Program, x: np.ndarray) -> np.ndarray:
    """The program's result for `x` (B, ...row) over real numbers: nothing is rounded, weights are as they are."""
    unit = 2.0**FRACTION_BITS
    weights = {at: value * 2.0 ** program.scale(at) for at, value in program.weights.items()}
    return _run(program, np.asarray(x, np.float64) * unit, weights, lambda z, shift: z / 2.0**shift) / unit


def execute_fixed(program: Program, x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The program's result for `x` (B, ...row) in the ring, as the players compute it: a truncation gives the floor, or one more with the probability of the rest."""
    unit = 2.0**FRACTION_BITS
    fixed = np.rint(np.asarray(x, np.float64) * unit).astype(np.int64)
    return _run(program, fixed, program.fixed_weights(), lambda z, shift: (z + random.integers(0, 1 << shift, z.shape)) >> shift) / unit


def _run(program: Program, x: np.ndarray, weights: dict[int, np.ndarray], truncate: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
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
        else:
            values.append(linear(program, at, [values[i] for i in line.operands]))
    return values[-1]


def linear(program: Program, at: int, operands: list[np.ndarray]) -> np.ndarray:
    """The result of one linear instruction."""
    line = program.instructions[at]
    x, keys = operands[0], line.keys
    result: np.ndarray
    match line.op:
        case "conv2d":
            result = conv2d(x, operands[1], keys["stride"])
        case "matmul":
            result = x @ operands[1]
        case "add":
            result = x + operands[1]
        case "scale":
            result = x * keys["factor"]
        case "sum_pool":
            result = sum_pool(x, keys["window"], keys["dilation"], keys["stride"])
        case "reshape":
            result = x.reshape(len(x), *line.shape)
        case "transpose":
            result = x.transpose(0, *(p + 1 for p in keys["perm"]))
        case "output":
            result = x
        case other:
            raise ValueError(f"{other} is not a linear instruction")
    return result


def conv2d(x: np.ndarray, w: np.ndarray, stride: list[int]) -> np.ndarray:
    """x (B, H, W, C), w (kh, kw, C, O), valid."""
    windows = sliding_window_view(x, w.shape[:2], axis=(1, 2))[:, :: stride[0], :: stride[1]]
    result: np.ndarray = np.einsum("byxcij,ijco->byxo", windows, w, optimize=True)
    return result


def sum_pool(x: np.ndarray, window: list[int], dilation: list[int], stride: list[int]) -> np.ndarray:
    """x (B, H, W, C)."""
    span = [(n - 1) * d + 1 for n, d in zip(window, dilation, strict=True)]
    windows = sliding_window_view(x, span, axis=(1, 2))[:, :: stride[0], :: stride[1]]
    summed: np.ndarray = windows[..., :: dilation[0], :: dilation[1]].sum(axis=(-2, -1))
    return summed
