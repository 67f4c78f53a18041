"""Conditions: what is true of a SecureModel, since when, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .reasons import Condition


@dataclass(frozen=True)
class State:
    """A condition without its time."""

    type: Condition
    status: bool
    reason: str
    message: str


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


def changes(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conditions whose status or reason is new: these become events."""
    old = {condition["type"]: (condition["status"], condition["reason"]) for condition in before}
    return [
        condition
        for condition in after
        if old.get(condition["type"]) != (condition["status"], condition["reason"])
    ]
