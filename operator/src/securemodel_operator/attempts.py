"""Attempts of the share step: how the last one ended, and when the next is due."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from .names import ATTEMPT_ANNOTATION
from .objects import Object
from .reasons import Reason, final, reported
from .seen import Seen, agreed, everybody_answers, pods_of_job
from .spec.model import SecureModel
from .state import State, fails, holds

FIRST_RETRY_S = 10
LAST_RETRY_S = 300
# players that lost their shares are given this long to load them from their volumes
SHARES_GRACE_S = 20


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a share Job ended, and whether a further attempt can end otherwise."""

    at: datetime
    state: State
    retryable: bool


def attempt_of(job: Object) -> int:
    text = job["metadata"].get("annotations", {}).get(ATTEMPT_ANNOTATION, "0")
    return int(text) if text.isdigit() else 0


def last_job(seen: Seen) -> Object | None:
    return max(seen.jobs, key=attempt_of, default=None)


def retry_after_s(attempt: int) -> int:
    """Seconds from the end of a failed attempt to the next."""
    return int(min(FIRST_RETRY_S * 2 ** (attempt - 1), LAST_RETRY_S))


def next_attempt(sm: SecureModel, seen: Seen, now: datetime) -> int | None:
    """The number of the share Job to make now; None: no new one."""
    if agreed(sm, seen, "generation"):
        return None

    job = last_job(seen)
    if job is None:
        # with the Job gone too, only the players can say that a model that was shared is so no more
        return 1 if everybody_answers(sm, seen) or not seen.known_digest else None

    outcome = outcome_of(job, seen)
    if outcome is None:
        return None

    attempt, ended_s = attempt_of(job), (now - outcome.at).total_seconds()
    if outcome.state.holds:
        # shared, and a player that answers has nothing, or something else: its volume was lost
        due = everybody_answers(sm, seen) and ended_s > SHARES_GRACE_S
    else:
        due = outcome.retryable and ended_s > retry_after_s(attempt)
    return attempt + 1 if due else None


def outcome_of(job: Object, seen: Seen) -> Outcome | None:
    """None while it runs."""
    for condition in job.get("status", {}).get("conditions", []):
        if condition["status"] != "True":
            continue
        at = datetime.fromisoformat(condition["lastTransitionTime"])
        if condition["type"] == "Complete":
            delivered = holds(Reason.SHARED, "the shares were delivered")
            return Outcome(at=at, state=delivered, retryable=False)
        if condition["type"] == "Failed":
            return _failure(job, seen, condition, at)
    return None


def _failure(job: Object, seen: Seen, condition: Object, at: datetime) -> Outcome:
    result = _result(job, seen)
    if result is None:
        said = condition.get("message", condition.get("reason", ""))
        why = f"the share Job {job['metadata']['name']} failed without a result: {said}"
        return Outcome(at=at, state=fails(Reason.SHARE_JOB_FAILED, why), retryable=True)

    reason, message = reported(
        result.get("reason"),
        str(result.get("message", ""))[:1000],
        image="share",
        otherwise=Reason.SHARE_JOB_FAILED,
    )
    retryable = bool(result.get("retryable")) and not final(reason)
    return Outcome(at=at, state=fails(reason, message), retryable=retryable)


def _result(job: Object, seen: Seen) -> Object | None:
    """What the share step said at its end, in its pod's termination message."""
    for pod in pods_of_job(seen, job):
        for status in pod.get("status", {}).get("containerStatuses", []):
            text = status.get("state", {}).get("terminated", {}).get("message")
            try:
                result = json.loads(text) if text else None
            except ValueError:
                continue
            if isinstance(result, dict):
                return result
    return None
