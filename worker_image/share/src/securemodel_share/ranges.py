"""Proves, before anything is shared, that no intermediate value can leave the range in which the
protocol is right (docs/protocol.md, Ranges).

Interval arithmetic over the fixed-point weights: from the bound of the input to the bounds of every
element of every value. How an operation's bounds follow from its operands' stands with it
(ir/ops/).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .errors import Reason, ShareError
from .ir.ops import Interval, Weight

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .program import Program

# for the rounding of float64 sums: at most 2^-53 of the largest partial sum a term
SLACK = 1 + 2.0**-24


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
        if isinstance(line.op, Weight):
            value = fixed[at].astype(np.float64)
            values.append((value, value))
        else:
            within = partial(_within, program, line.layer)
            values.append(line.op.bounds(within, *(values[i] for i in line.operands)))
        yield values[-1]


def _within(program: Program, layer: str, value: Interval, limit: float, what: str) -> None:
    most = max(float(np.abs(value[0]).max()), float(np.abs(value[1]).max()))
    if most * SLACK < limit:
        return
    # a power of two: weights have no place in messages
    excess = 2.0 ** np.ceil(np.log2(most * SLACK / limit))
    message = (
        f"layer {layer!r}: {what} could be up to {max(excess, 2.0):.4g} times larger than the "
        f"protocol computes right, for inputs up to {program.input_bound:g}; lower "
        "spec.model.inputBound if your inputs are smaller, or normalise the model (weight decay, "
        "or batch normalisation)"
    )
    raise ShareError(Reason.RANGE_OVERFLOW, message)
