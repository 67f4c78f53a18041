"""Ready: every other condition holds; else the first that does not says why."""

from __future__ import annotations

from securemodel_operator.reasons import Reason
from securemodel_operator.state import State, States, holds


def assess(others: States) -> State:
    """From the other conditions, since all that was seen is in them."""
    failing = next((state for state in others.values() if not state.holds), None)
    return failing or holds(Reason.READY, "private predictions are answered")
