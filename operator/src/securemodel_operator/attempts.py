"""Attempts of the share step: how the last one ended, and when the next is due."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from . import names
from .objects import Object
from .reasons import Reason, final, reported
from .seen import Snapshot, agreed, pods_of
from .spec.model import SecureModel

FIRST_RETRY_S = 10
LAST_RETRY_S = 300
# players that lost their shares are given this long to load them from their volumes
SHARES_GRACE_S = 20


def attempt_of(job: Object) -> int:
    text = job["metadata"].get("annotations", {}).get(names.ATTEMPT_ANNOTATION, "0")
    return int(text) if text.isdigit() else 0


def next_attempt(sm: SecureModel, snapshot: Snapshot, now: datetime) -> int | None:
    """The number of the share Job to make now; None: no new one."""
    if agreed(sm, snapshot, "generation"):
        return None
    everybody = all(snapshot.players.get(player.name) for player in sm.players)
    if not snapshot.jobs:
        # with the Job gone too, only the players can say that a model that was shared is so no more
        return 1 if everybody or not snapshot.known_digest else None
    job = max(snapshot.jobs, key=attempt_of)
    attempt = attempt_of(job)
    outcome = job_outcome(job, snapshot)
    if outcome is None:
        return None
    ended = (now - outcome.at).total_seconds()
    if outcome.succeeded:
        # shared, and a player that answers has nothing, or something else: its volume was lost
        return attempt + 1 if everybody and ended > SHARES_GRACE_S else None
    wait = min(FIRST_RETRY_S * 2 ** (attempt - 1), LAST_RETRY_S)
    return attempt + 1 if outcome.retryable and ended > wait else None


@dataclass(frozen=True)
class Outcome:
    """How a share Job ended."""

    succeeded: bool
    at: datetime
    reason: str
    message: str
    retryable: bool


def job_outcome(job: Object, snapshot: Snapshot) -> Outcome | None:
    """None while it runs."""
    for condition in job.get("status", {}).get("conditions", []):
        if condition["status"] != "True" or condition["type"] not in ("Complete", "Failed"):
            continue
        at = datetime.fromisoformat(condition["lastTransitionTime"])
        if condition["type"] == "Complete":
            return Outcome(True, at, Reason.SHARED, "the shares were delivered", retryable=False)
        result = _termination_message(job, snapshot)
        if result is None:
            said = condition.get("message", condition.get("reason", ""))
            why = f"the share Job {job['metadata']['name']} failed without a result: {said}"
            return Outcome(False, at, Reason.SHARE_JOB_FAILED, why, retryable=True)
        said = str(result.get("message", ""))[:1000]
        reason, message = reported(result.get("reason"), said, "share", Reason.SHARE_JOB_FAILED)
        retryable = bool(result.get("retryable")) and not final(reason)
        return Outcome(False, at, reason, message, retryable=retryable)
    return None


def _termination_message(job: Object, snapshot: Snapshot) -> Object | None:
    for pod in pods_of(snapshot, "share", job["metadata"]["name"]):
        for status in pod.get("status", {}).get("containerStatuses", []):
            text = status.get("state", {}).get("terminated", {}).get("message")
            try:
                result = json.loads(text) if text else None
            except ValueError:
                continue
            if isinstance(result, dict):
                return result
    return None
