"""How much fixed point changes a program's results."""

from __future__ import annotations

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
    """The largest difference between the fixed-point result and the exact one, the largest exact
    result, and on how many rows; of logits, before what the client applies to them.
    """

    error: float
    largest: float
    rows: int

    @property
    def relative(self) -> float:
        """The error, of the largest output where that is above 1."""
        return self.error / max(1.0, self.largest)


def measure(program: Program, rows: np.ndarray) -> Precision:
    """Runs the program both ways on rows (B, ...row)."""
    random = np.random.default_rng(SEED)
    error = largest = 0.0
    for x in batches(program, rows):
        exact = execute(program, x)
        found = execute_fixed(program, x, random)
        error = max(error, float(np.abs(found - exact).max(initial=0)))
        largest = max(largest, float(np.abs(exact).max(initial=0)))
    return Precision(error=error, largest=largest, rows=len(rows))


def finding(found: Precision, accepted: float | None, layer: str) -> Finding | None:
    """What is wrong with it, if anything is."""
    if found.relative <= (TOLERANCE if accepted is None else accepted):
        return None
    of = f" where the largest is {found.largest:.3g}"
    return Finding(
        reason=Reason.PRECISION_LOST,
        layer=layer,
        problem=f"the fixed point, 16 bits behind the point, changes outputs by up to "
        f"{found.error:.2g}{of}: {found.relative:.2g}, and {TOLERANCE:g} is accepted unasked",
        advice="scale the inputs to about 1 and train again, so that no weight is tiny, or accept "
        f'it by name (spec.model.tolerance: "{_rounded_up(found.relative)}")',
    )


def _rounded_up(value: float) -> str:
    digit = 10.0 ** np.floor(np.log10(value))
    return f"{np.ceil(value / digit) * digit:.1g}"
