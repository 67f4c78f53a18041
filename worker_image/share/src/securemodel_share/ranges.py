"""Proves, before anything is shared, that no intermediate value can leave the range in which the
protocol is right (docs/protocol.md, Ranges).

Interval arithmetic over the fixed-point weights: from the bound of the input to the bounds of every
element of every value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .errors import Reason, ShareError
from .execute import linear, windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .program import Program

TRUNCATION_RANGE = 2.0**62
COMPARISON_WINDOW = 2.0**31
# for the rounding of float64 sums: at most 2^-53 of the largest partial sum a term
SLACK = 1 + 2.0**-24

Interval = tuple[np.ndarray, np.ndarray]


def check_ranges(program: Program, fixed: dict[int, np.ndarray]) -> None:
    """Raises RangeOverflow, naming the layer, if a value could leave its range for some input
    within the bound.
    """
    for _ in bounds(program, fixed):
        pass


def bounds(program: Program, fixed: dict[int, np.ndarray]) -> Iterator[Interval]:
    """The smallest and the largest value of each instruction's elements, fixed point, for one row.

    Raises:
        ShareError: RangeOverflow, when it comes to an instruction whose operand could leave its
            range.
    """
    values: list[Interval] = []
    for at, line in enumerate(program.instructions):
        if line.op == "input":
            bound = np.full((1, *line.shape), float(line.keys["bound"]))
            values.append((-bound, bound))
        elif line.op == "weight":
            values.append((fixed[at].astype(np.float64),) * 2)
        elif line.op.startswith("truncate"):
            low, high = values[line.operands[0]]
            _within(program, at, (low, high), TRUNCATION_RANGE, "a product")
            unit = 2.0 ** line.keys["shift"]
            low, high = np.floor(low / unit), np.floor(high / unit) + 1
            values.append(
                _relu(program, at, (low, high)) if line.op == "truncate_relu" else (low, high)
            )
        elif line.op == "relu":
            values.append(_relu(program, at, values[line.operands[0]]))
        elif line.op == "max_pool":
            values.append(_max_pool(program, at, values[line.operands[0]]))
        else:
            values.append(_linear(program, at, values))
        yield values[-1]


def _relu(program: Program, at: int, value: Interval) -> Interval:
    _within(program, at, value, COMPARISON_WINDOW, "the input of a ReLU")
    return np.maximum(value[0], 0), np.maximum(value[1], 0)


def _max_pool(program: Program, at: int, value: Interval) -> Interval:
    """Any two values of a window may meet: the largest of some of them with another one."""
    keys = program.instructions[at].keys
    low, high = (windows(bound, keys["window"], keys["stride"]) for bound in value)
    most, least = high.max(axis=(-2, -1)), low.min(axis=(-2, -1))
    _within(
        program,
        at,
        (least - most, most - least),
        COMPARISON_WINDOW,
        "the difference of two values that a max pooling compares",
    )
    return low.max(axis=(-2, -1)), most


def _linear(program: Program, at: int, values: list[Interval]) -> Interval:
    line = program.instructions[at]
    low, high = values[line.operands[0]]
    if line.op in ("conv2d", "matmul"):
        w = values[line.operands[1]][0]
        up, down = np.maximum(w, 0), np.minimum(w, 0)
        lows = linear(program, at, [low, up]) + linear(program, at, [high, down])
        highs = linear(program, at, [high, up]) + linear(program, at, [low, down])
        return lows, highs
    rest = [values[i][0] for i in line.operands[1:]]
    return linear(program, at, [low, *rest]), linear(program, at, [high, *rest])


def _within(program: Program, at: int, value: Interval, limit: float, what: str) -> None:
    most = max(float(np.abs(value[0]).max()), float(np.abs(value[1]).max()))
    if most * SLACK < limit:
        return
    bound = program.instructions[0].keys["bound"] / 2**16
    # a power of two: weights have no place in messages
    excess = 2.0 ** np.ceil(np.log2(most * SLACK / limit))
    message = (
        f"layer {program.instructions[at].layer!r}: {what} could be up to {max(excess, 2.0):.4g} "
        "times larger than the protocol computes right, "
        f"for inputs up to {bound:g}; lower spec.model.inputBound if your inputs are smaller, or "
        "normalise the model (weight decay, or fold batch normalisation)"
    )
    raise ShareError(Reason.RANGE_OVERFLOW, message)
