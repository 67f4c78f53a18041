"""A condition without its time."""

from __future__ import annotations

from dataclasses import dataclass

from securemodel_operator.reasons import Condition


@dataclass(frozen=True)
class State:
    """A condition without its time."""

    type: Condition
    status: bool
    reason: str
    message: str
