"""What is written to a SecureModel's status."""

from __future__ import annotations

from typing import Any

from .conditions.state import State
from .objects import Object
from .seen import Snapshot
from .spec.model import SecureModel


def merge(
    before: list[dict[str, Any]], states: list[State], generation: int, now: str
) -> list[dict[str, Any]]:
    """The conditions to write: the time moves only when the status flips."""
    old = {condition["type"]: condition for condition in before}
    merged = []
    for state in states:
        status = "True" if state.status else "False"
        previous = old.get(state.type)
        since = previous["lastTransitionTime"] if previous and previous["status"] == status else now
        merged.append(
            {
                "type": str(state.type),
                "status": status,
                "reason": str(state.reason),
                "message": state.message,
                "lastTransitionTime": since,
                "observedGeneration": generation,
            }
        )
    return merged


def player_statuses(sm: SecureModel, snapshot: Snapshot) -> list[Object]:
    """What goes to status.players; an unanswered question leaves fields out."""
    statuses = []
    for player in sm.players:
        report = snapshot.players.get(player.name) or {}
        shown = {
            name: report[name]
            for name in ("reason", "digest", "generation", "epoch")
            if report.get(name)
        }
        statuses.append(
            {"name": player.name, "role": player.role, "ready": bool(report.get("ready")), **shown}
        )
    return statuses
