"""Whether every value stays in the range in which the protocol is right (docs/protocol.md,
Ranges): proved by interval arithmetic over the weights, or met on rows with a margin.

What is limited stands with each operation (`bounds` in ir/ops/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from . import rows
from .errors import Finding, Reason
from .execute import UNIT, batches, steps
from .ir.ops import TRUNCATION_RANGE, Interval, Op, Output, Product, Weight, Within

if TYPE_CHECKING:
    from .program import Program

# for the rounding of float64 sums: at most 2^-53 of the largest partial sum a term
SLACK = 1 + 2.0**-24
# of rows: how many times larger than what they make a value may become
MARGIN = 16.0

PROVED, CALIBRATED = "Proved", "Calibrated"

SMALLER = "lower spec.model.inputBound or inputRange if your inputs are smaller"
NORMALISE = "normalise the model (weight decay, or batch normalisation)"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What may not become larger at one instruction, and how large it is, both in ring units."""

    at: int
    layer: str
    what: str
    limit: float
    largest: float

    @property
    def margin(self) -> float:
        """How many times larger it may become."""
        return self.limit / self.largest if self.largest else float("inf")


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Why no value leaves its range. `source` of what is calibrated: the owner's "rows", or rows
    "drawn" within the bound; `rows`: how many.
    """

    kind: str
    source: str | None = None
    rows: int = 0
    limits: tuple[Limit, ...]

    def __str__(self) -> str:
        return f"{self.kind} ({self.source})" if self.source else self.kind

    @property
    def tightest(self) -> Limit | None:
        """Where the margin is smallest; None where nothing is limited."""
        return min(self.limits, key=lambda limit: limit.margin, default=None)

    @property
    def margin(self) -> float:
        """The smallest one."""
        return self.tightest.margin if self.tightest else float("inf")

    @property
    def layer(self) -> str:
        """Where the margin is smallest."""
        return self.tightest.layer if self.tightest else ""

    @property
    def required(self) -> float:
        """What each margin has to be: of a proof, more than 1."""
        return SLACK if self.kind == PROVED else MARGIN

    @property
    def short(self) -> list[Limit]:
        """Those of `by_layer` whose margin does not suffice."""
        return [limit for limit in self.by_layer.values() if limit.margin < self.required]

    @property
    def by_layer(self) -> dict[str, Limit]:
        """The tightest limit of each layer, in order."""
        found: dict[str, Limit] = {}
        for limit in self.limits:
            if limit.layer not in found or limit.margin < found[limit.layer].margin:
                found[limit.layer] = limit
        return found


@dataclass(frozen=True, kw_only=True)
class Met:
    """What is limited, and how large it is on each row: (limits, rows). `squares`: the mean square
    of each instruction's values, real numbers.
    """

    limits: tuple[Limit, ...]
    by_row: np.ndarray
    squares: np.ndarray


def proof(program: Program) -> Ranges:
    """How large what is limited could become for any input within the bound, by interval
    arithmetic.
    """
    notes = _Notes(program)
    for _ in bounds(program, program.fixed_weights(), notes.of):
        pass
    return Ranges(kind=PROVED, limits=tuple(notes.limits))


def calibration(source: str, *parts: Met) -> Ranges:
    """How large what is limited becomes on rows, of which `parts` speak."""
    by_row = np.concatenate([part.by_row for part in parts], axis=1)
    largest = zip(parts[0].limits, by_row, strict=True)
    limits = tuple(replace(limit, largest=float(values.max())) for limit, values in largest)
    return Ranges(kind=CALIBRATED, source=source, rows=by_row.shape[1], limits=limits)


def bounds(
    program: Program, fixed: dict[int, np.ndarray], within: Callable[[int], Within] | None = None
) -> Iterator[Interval]:
    """The smallest and the largest value of each instruction's elements, fixed point, for one row.
    `within(at)` hears of what is limited at an instruction.
    """
    values: list[Interval] = []
    for at, line in enumerate(program.instructions):
        if isinstance(line.op, Weight):
            value = fixed[at].astype(np.float64)
            values.append((value, value))
        else:
            note = within(at) if within else _nothing
            values.append(_bounds(line.op, note, *(values[i] for i in line.operands)))
        yield values[-1]


def met(program: Program, tried: np.ndarray) -> Met:
    """How large what is limited becomes on rows `tried` (B, ...row), within the bound."""
    parts = [_met(program, x) for x in batches(program, tried)]
    by_row = np.concatenate([part.by_row for part in parts], axis=1)
    squares = np.average([part.squares for part in parts], axis=0, weights=_rows_of(parts))
    return Met(limits=parts[0].limits, by_row=by_row, squares=squares)


def _rows_of(parts: Sequence[Met]) -> list[int]:
    return [part.by_row.shape[1] for part in parts]


def _met(program: Program, x: np.ndarray) -> Met:
    notes = _Notes(program)
    squares = np.zeros(len(program.instructions))
    for step in steps(program, x):
        squares[step.at] = np.mean(np.square(step.value / UNIT))
        line = program.instructions[step.at]
        if not isinstance(line.op, (Weight, Product)):
            operands = [(value, value) for value in step.operands]
            _bounds(line.op, notes.of(step.at), *operands)
    by_row = np.array(notes.by_row).reshape(-1, len(x))
    return Met(limits=tuple(notes.limits), by_row=by_row, squares=squares)


def _bounds(op: Op, within: Within, *operands: Interval) -> Interval:
    if isinstance(op, Output):
        within(operands[0], TRUNCATION_RANGE, "the output")
    return op.bounds(within, *operands)


def _nothing(_value: Interval, _limit: float, _what: str) -> None:
    pass


class _Notes:
    """Keeps how large what is limited is, on each row."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.limits: list[Limit] = []
        self.by_row: list[np.ndarray] = []

    def of(self, at: int) -> Within:
        def within(value: Interval, limit: float, what: str) -> None:
            ends = [np.abs(end).reshape(len(end), -1).max(axis=1, initial=0) for end in value]
            values = np.maximum(*ends)
            layer, largest = self.program.instructions[at].layer, float(values.max())
            self.by_row.append(values)
            self.limits.append(Limit(at=at, layer=layer, what=what, limit=limit, largest=largest))

        return within


def findings(ranges: Ranges, span: str) -> list[Finding]:
    """What could leave its range; `span` says for which inputs."""
    return [_finding(ranges, limit, span) for limit in ranges.short]


def _finding(ranges: Ranges, limit: Limit, span: str) -> Finding:
    match ranges.source:
        case None:
            problem = f"could be {_times(limit)}, for inputs {span}: it is not proved"
            advice = f"set spec.model.ranges to Calibrated, {SMALLER}, or {NORMALISE}"
        case rows.DRAWN:
            problem = f"{_is(limit)}, on {ranges.rows} rows drawn {span}"
            advice = f"give rows of your own (spec.model.calibration), {SMALLER}, or {NORMALISE}"
        case _:
            problem = f"{_is(limit)}, on your {ranges.rows} rows"
            advice = f"scale the inputs down and train again, or {NORMALISE}"
    return Finding(
        reason=Reason.RANGE_OVERFLOW,
        layer=limit.layer,
        problem=f"layer {limit.layer!r}: {limit.what} {problem}",
        advice=advice,
    )


def _is(limit: Limit) -> str:
    if limit.margin < 1:
        return f"is {_times(limit)}"
    return (
        f"comes within {limit.margin:.3g} times of what the protocol computes right, where "
        f"{MARGIN:g} times are wanted"
    )


def _times(limit: Limit) -> str:
    # a power of two: weights have no place in messages
    excess = 2.0 ** np.ceil(np.log2(limit.largest * SLACK / limit.limit))
    return f"up to {max(excess, 2.0):.4g} times larger than the protocol computes right"
