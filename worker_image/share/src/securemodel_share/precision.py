"""How much fixed point changes a program's results."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import Finding, Reason
from .execute import batches, execute, execute_fixed

if TYPE_CHECKING:
    from .program import Program

# largest error that is accepted unasked: absolute, or of the largest output
TOLERANCE = 1e-3
SEED = 7


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The largest difference between the fixed-point logits and the exact ones, the largest exact
    one, and on how many rows. `after`: the same difference after the functions at the model's end,
    relative as below; 0 if there are none.
    """

    error: float
    largest: float
    rows: int
    after: float = 0.0

    @property
    def relative(self) -> float:
        """The error, of the largest value where that is above 1; of logits or after the functions,
        whichever is larger.
        """
        return max(self.error / max(1.0, self.largest), self.after)


def measure(program: Program, rows: np.ndarray) -> Precision:
    """Runs the program both ways on rows (B, ...row)."""
    random = np.random.default_rng(SEED)
    pairs = [
        (execute_fixed(program, x, random), execute(program, x)) for x in batches(program, rows)
    ]
    found, exact = (np.concatenate(side) for side in zip(*pairs, strict=True))
    functions = program.public.get("functions", [])
    after = 0.0
    if functions:
        from .answers import answer  # noqa: PLC0415 - loads TensorFlow

        error, largest = _difference(answer(functions, found), answer(functions, exact))
        after = error / max(1.0, largest)
    error, largest = _difference(found, exact)
    return Precision(error=error, largest=largest, rows=len(rows), after=after)


def _difference(found: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """The largest difference, and the largest exact value, of those that are finite."""
    known = np.isfinite(exact)
    error, size = np.abs(found[known] - exact[known]), np.abs(exact[known])
    return float(error.max(initial=0)), float(size.max(initial=0))


def finding(found: Precision, accepted: float | None, layer: str) -> Finding | None:
    """What is wrong with it, if anything is."""
    most = TOLERANCE if accepted is None else accepted
    if found.relative <= most:
        return None
    by_name = ""
    if math.isfinite(found.relative):
        accepting = decimal(rounded_up(found.relative))
        by_name = f', or accept it by name (spec.model.tolerance: "{accepting}")'
    what = "outputs" if found.relative > found.after else "what the client gets"
    return Finding(
        reason=Reason.PRECISION_LOST,
        layer=layer,
        problem=f"the fixed point, 16 bits behind the point, changes {what} by up to "
        f"{found.relative:.2g} (absolute, or of the largest one), and {most:g} is accepted"
        f"{' unasked' if accepted is None else ''}",
        advice="scale the inputs to about 1 and train again, so that no weight is tiny" + by_name,
    )


def rounded_up(value: float) -> float:
    """A finite number, to one digit."""
    digit = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return float(f"{math.ceil(value / digit) * digit:.1g}")


def decimal(value: float) -> str:
    """As spec.model takes numbers: without an exponent."""
    return np.format_float_positional(value, trim="-")
