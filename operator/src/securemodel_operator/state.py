"""What is true of one condition, and why."""

from __future__ import annotations

from dataclasses import dataclass

from .reasons import Condition, Reason, Unknown


@dataclass(frozen=True, kw_only=True)
class State:
    """A condition without its time: whether it holds, the reason and the words for the user."""

    holds: bool
    reason: Reason | Unknown
    message: str


# every condition, in the order in which they are shown
States = dict[Condition, State]


def holds(reason: Reason, message: str) -> State:
    return State(holds=True, reason=reason, message=message)


def fails(reason: Reason | Unknown, message: str) -> State:
    return State(holds=False, reason=reason, message=message)
