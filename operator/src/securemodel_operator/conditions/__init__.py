"""The conditions of a SecureModel, a file each."""

from __future__ import annotations

from securemodel_operator.reasons import Condition, Reason
from securemodel_operator.seen import Snapshot
from securemodel_operator.spec.model import SecureModel

from .model_shared import model_shared
from .players_ready import players_ready
from .serving import serving
from .state import State


def assess(sm: SecureModel, snapshot: Snapshot, refused: str | None = None) -> list[State]:
    """All conditions but Accepted's refusals, from what was seen.

    `refused`: what the API server said to an object of ours.
    """
    players, shared, served = (
        players_ready(sm, snapshot),
        model_shared(sm, snapshot),
        serving(sm, snapshot),
    )
    if refused:
        players = State(
            Condition.PLAYERS_READY,
            False,
            Reason.APPLY_FAILED,
            f"the API server refuses an object of this model: {refused}",
        )
    states = [
        State(Condition.ACCEPTED, True, Reason.ACCEPTED, "the spec is valid"),
        players,
        shared,
        served,
    ]
    failing = next((state for state in states if not state.status), None)
    ready = State(Condition.READY, True, Reason.READY, "private predictions are answered")
    if failing:
        ready = State(Condition.READY, False, failing.reason, failing.message)
    return [*states, ready]


def refuse(reason: Reason, message: str) -> list[State]:
    """The conditions of a SecureModel that is not accepted: nothing is made for it."""
    rest = (Condition.PLAYERS_READY, Condition.MODEL_SHARED, Condition.SERVING, Condition.READY)
    return [
        State(Condition.ACCEPTED, False, reason, message),
        *(State(condition, False, reason, message) for condition in rest),
    ]
