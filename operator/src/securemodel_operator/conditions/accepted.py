"""Accepted: what the spec asks for can be made, and no name that it needs is taken."""

from __future__ import annotations

from securemodel_operator.objects import Key
from securemodel_operator.ownership import conflicts, previous
from securemodel_operator.reasons import Reason
from securemodel_operator.seen import Seen
from securemodel_operator.spec.model import SecureModel
from securemodel_operator.state import State, fails, holds


def assess(_sm: SecureModel, _seen: Seen) -> State:
    """Of a SecureModel that is not refused: `refusal` comes first, and ends the pass."""
    return holds(Reason.ACCEPTED, "the spec is valid")


def refusal(sm: SecureModel, seen: Seen) -> State | None:
    """Why nothing is made for this SecureModel; None: nothing stands against it."""
    foreign = conflicts(sm, seen.live)
    if not foreign:
        return None
    if all(previous(sm, seen.live[key]) for key in foreign):
        why = (
            f"{_shown(foreign)} belongs to the SecureModel {sm.name} that was deleted before; "
            "waiting until it is collected"
        )
        return fails(Reason.PREVIOUS_STILL_DELETING, why)
    why = (
        f"{_shown(foreign)} exists in namespace {sm.namespace} and does not belong to this "
        "SecureModel; delete or rename it, or choose another name"
    )
    return fails(Reason.NAME_CONFLICT, why)


def _shown(keys: list[Key]) -> str:
    return ", ".join(f"{kind} {name}" for kind, name in keys)
