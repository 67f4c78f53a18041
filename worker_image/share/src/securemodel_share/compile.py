"""Model to program: record the lowering through TF Encrypted, optimise, fix the point, and see that
values stay in range and results precise. `compile_model` loads TensorFlow, which takes seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import precision, ranges, rows
from .ascent import ascend
from .compiled import MAX_PROGRAM_BYTES
from .cost import PROTOCOLS, cost, effort
from .errors import Finding, Reason, ShareError, refusal
from .ir.ops import FRACTION_BITS
from .lowering import check, lower, public_functions
from .passes import optimize
from .program import Program, fix
from .rescale import rescale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .ir.graph import Graph
    from .model import Model
    from .precision import Precision
    from .ranges import Ranges
    from .rows import Rows

    Say = Callable[[str], None]

# the first is the default
RANGES = (ranges.CALIBRATED, ranges.PROVED)
# of inputs; as players take them (docs/program.md): less than 2^31 in fixed point
LARGEST = 32767.0
SMALLEST = 2.0**-FRACTION_BITS
# rows are tried as long as that is a matter of seconds (drawn) or minutes, in multiplications
EFFORT = {rows.DRAWN: 1e10, rows.OWN: 2e11}
FEWEST = 8
MOST_LABELS, LONGEST_LABEL = 10_000, 256
# docs/program.md; the chart gives a player 1 GiB, and the estimate is up to 1.6 times too high
MOST_INSTRUCTIONS, MOST_MEMORY_MB = 4096, 1600


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the owner says beside the file.

    low, high: of the input. labels: names of the classes. calibration: rows (B, ...row) within
    the bound. ranges: "Calibrated", or "Proved" to refuse what is not proved. tolerance: the
    largest error that is accepted, absolute or of the largest output; None: 1e-3.
    """

    low: float = -1.0
    high: float = 1.0
    labels: tuple[str, ...] = ()
    calibration: np.ndarray | None = None
    ranges: str = RANGES[0]
    tolerance: float | None = None

    def __post_init__(self) -> None:
        """Raises ShareError, naming what is not usable."""
        if not (self._is_a_range() and SMALLEST <= max(-self.low, self.high) <= LARGEST):
            message = (
                f"the input's range, {self.low:g} to {self.high:g}, is not one of numbers up to "
                f"{LARGEST:g}; correct spec.model.inputBound or inputRange"
            )
            raise ShareError(Reason.RANGE_OVERFLOW, message)
        if self.tolerance is not None and not 0 < self.tolerance < math.inf:
            message = f"the tolerance {self.tolerance:g} is not a number above 0; correct it"
            raise ShareError(Reason.PRECISION_LOST, f"{message} (spec.model.tolerance)")
        if len(self.labels) > MOST_LABELS or max(map(len, self.labels), default=0) > LONGEST_LABEL:
            message = (
                f"there are more than {MOST_LABELS:,} labels, or one of more than {LONGEST_LABEL} "
                "characters; correct spec.model.labels"
            )
            raise ShareError(Reason.INVALID_MODEL, message)
        if self.ranges not in RANGES:
            message = f"{self.ranges!r} is not known; spec.model.ranges is {' or '.join(RANGES)}"
            raise ShareError(Reason.RANGE_OVERFLOW, message)

    def _is_a_range(self) -> bool:
        """As players see it too: in fixed point."""
        ends = np.rint(np.array([self.low, self.high]) * 2.0**FRACTION_BITS)
        return bool(ends[0] < ends[1])


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A program, and how well it holds."""

    program: Program
    ranges: Ranges
    precision: Precision


def record(model: Model) -> Graph:
    """What the model's lowering calls, as a graph.

    Raises:
        ShareError: UnsupportedLayer, InvalidModel or WeightsOutOfRange, naming the layer.
    """
    check(model)
    from .tfe.recorder import Recorder  # noqa: PLC0415 - takes seconds; bad models are refused before

    recorder = Recorder()

    def enter(layer: str) -> None:
        recorder.layer = layer

    with recorder.recording():
        recorder.output(lower(model, recorder.define_private_input(model.input_shape), enter))
    return recorder.graph


def compile_model(model: Model, wanted: Wanted, say: Say = lambda _: None) -> Compiled:
    """The program of a model with its weights beside it, and how well it holds. `say` hears what
    is being done.

    Raises:
        ShareError: UnsupportedLayer, InvalidModel, WeightsOutOfRange, RangeOverflow or
            PrecisionLost, with all that was found.
    """
    check(model)
    tried = _rows(model, wanted)
    say("loading TensorFlow, which takes seconds, and compiling")
    program = fix(optimize(record(model)), wanted.low, wanted.high)
    program.public = _public(model, wanted, program)
    if beyond := list(_beyond_players(program)):
        raise refusal(beyond)
    tried = tried.at_most(max(FEWEST, int(EFFORT[tried.source] / effort(program.lines))))
    say(f"bounding values, and trying {len(tried.all)} rows")
    program, held = _held(program, wanted, tried, say)
    say("measuring what the fixed point changes")
    measured = precision.measure(program, tried.ordinary)
    span = f"from {wanted.low:g} to {wanted.high:g}"
    found = [*ranges.findings(held, span), *_lost(program, measured, wanted)]
    if found:
        raise refusal(found)
    return Compiled(program=program, ranges=held, precision=measured)


def _beyond_players(program: Program) -> Iterator[Finding]:
    """What no player would take, or could compute a single row of."""
    lines = program.lines
    memory = max(cost(lines, protocol, 1).memory for protocol in PROTOCOLS)
    for what, found, most in (
        ("instructions", len(lines), MOST_INSTRUCTIONS),
        ("bytes of program", len(program.encode()), MAX_PROGRAM_BYTES),
        ("MB of a player's memory for one row", memory // 10**6, MOST_MEMORY_MB),
    ):
        if found > most:
            yield Finding(
                reason=Reason.INVALID_MODEL,
                problem=f"the model takes {found:,} {what}, and {most:,} are the most",
                advice="use a smaller model, or smaller inputs",
            )


def _public(model: Model, wanted: Wanted, program: Program) -> dict[str, Any]:
    """What the program tells clients. Raises ShareError if the labels do not fit."""
    classes = program.instructions[-1].shape[-1]
    if wanted.labels and len(wanted.labels) != classes:
        message = (
            f"there are {len(wanted.labels)} labels for {classes} outputs; give as many as the "
            "output's last axis has (spec.model.labels)"
        )
        raise ShareError(Reason.INVALID_MODEL, message)
    said = {"functions": public_functions(model), "labels": list(wanted.labels)}
    return {key: value for key, value in said.items() if value}


def _rows(model: Model, wanted: Wanted) -> Rows:
    """What the program is tried on. Raises ShareError if the owner's rows do not fit."""
    of = (model.input_shape, wanted.low, wanted.high)
    return rows.drawn(*of) if wanted.calibration is None else rows.given(wanted.calibration, *of)


def _held(program: Program, wanted: Wanted, tried: Rows, say: Say) -> tuple[Program, Ranges]:
    """The program with weights that suit its values, and the proof that these stay in range; where
    there is none, and none is demanded, what is met on rows.
    """
    proof, met = ranges.proof(program), ranges.met(program, tried.all)
    scaled = rescale(program, met, proof)
    if scaled is not program:
        proof = ranges.proof(scaled)
    if not proof.short or wanted.ranges == ranges.PROVED:
        return scaled, proof
    if scaled is not program:
        met = ranges.met(scaled, tried.all)
    found = [met]
    if tried.source == rows.DRAWN:
        say("looking for inputs that make values large")
        found.append(ranges.met(scaled, ascend(scaled, tried.all, met)))
    return scaled, ranges.calibration(tried.source, *found)


def _lost(program: Program, measured: Precision, wanted: Wanted) -> Iterator[Finding]:
    if found := precision.finding(measured, wanted.tolerance, program.instructions[-1].layer):
        yield found
