"""When to try again: bounded in time, with growing pauses."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, TypeVar

from .errors import PlayerError, SecureModelError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
# one attempt: a player answers within 15 s whatever happens (docs/wire.md), and the rest is left for another one
LONGEST_ATTEMPT = 20.0


def retrying(budget: float, attempt: Callable[[float], T]) -> T:
    """Calls `attempt(deadline)` until it returns, raises what cannot be retried, or `budget` seconds are over; then raises the last error.

    deadline: of the monotonic clock, for this attempt.
    """
    began = time.monotonic()
    end = began + budget
    number = 0
    while True:
        number += 1
        try:
            return attempt(min(end, time.monotonic() + LONGEST_ATTEMPT))
        except SecureModelError as e:
            pause = pause_after(number, e)
            if e.retryable and time.monotonic() + pause < end:
                time.sleep(pause)
                continue
            e.attempts, e.seconds = number, time.monotonic() - began
            raise


def pause_after(number: int, error: SecureModelError) -> float:
    """Seconds to wait after attempt `number` (from 1): doubling with a random part, at least what the player asked for."""
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (number - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, hides nothing
    return max(pause, error.retry_after) if isinstance(error, PlayerError) else pause
