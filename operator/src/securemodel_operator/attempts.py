"""Attempts of the share step: how the last one ended, and when the next is due."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from .names import ATTEMPT_ANNOTATION, COMPILE
from .objects import Object
from .reasons import Reason, final, reported
from .seen import Seen, agreed, everybody_answers, pods_of_job
from .spec.model import SecureModel
from .state import State, fails, holds

FIRST_RETRY_S = 10
LAST_RETRY_S = 300
# players that lost their shares are given this long to load them from their volumes
SHARES_GRACE_S = 20
# a model that needs more memory than there may be does so again: it is not tried for ever
MEMORY_TRIES = 3
AFRESH = "delete this SecureModel, correct it and create it anew"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a share Job ended, and whether a further attempt can end otherwise; `advice`: what to do
    if it cannot.
    """

    at: datetime
    state: State
    retryable: bool
    advice: str = AFRESH


@dataclass(frozen=True, kw_only=True)
class _End:
    """How a container of a share Job ended, and what it said in its termination message."""

    container: str
    failed: bool
    out_of_memory: bool
    result: Object | None


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


def compiled(job: Object, seen: Seen) -> Object | None:
    """What the share step said of the model when it was compiled; None: nothing yet."""
    ends = _ends(job, seen)
    said = (end.result for end in ends if end.container == COMPILE and not end.failed)
    return next(said, None)


def _failure(job: Object, seen: Seen, condition: Object, at: datetime) -> Outcome:
    failed = [end for end in _ends(job, seen) if end.failed]
    result = next((end.result for end in failed if end.result), None)
    if result is None:
        killed = next((end for end in failed if end.out_of_memory), None)
        return _out_of_memory(job, killed, at) if killed else _without_result(job, condition, at)

    reason, message = reported(
        result.get("reason"),
        str(result.get("message", ""))[:1000],
        image="share",
        otherwise=Reason.SHARE_JOB_FAILED,
    )
    retryable = bool(result.get("retryable")) and not final(reason)
    return Outcome(at=at, state=fails(reason, message), retryable=retryable)


def _without_result(job: Object, condition: Object, at: datetime) -> Outcome:
    said = condition.get("message", condition.get("reason", ""))
    why = f"the share Job {job['metadata']['name']} failed without a result: {said}"
    return Outcome(at=at, state=fails(Reason.SHARE_JOB_FAILED, why), retryable=True)


def _out_of_memory(job: Object, killed: _End, at: datetime) -> Outcome:
    name = job["metadata"]["name"]
    why = (
        f"the container {killed.container} of the share Job {name} needed more memory than its "
        f"limit of {_memory_limit(job, killed.container)}; raise share.resources.limits.memory "
        "of the chart"
    )
    return Outcome(
        at=at,
        state=fails(Reason.SHARE_JOB_FAILED, why),
        retryable=attempt_of(job) < MEMORY_TRIES,
        advice=f"once the limit is raised, delete the Job {name}",
    )


def _memory_limit(job: Object, name: str) -> str:
    pod = job["spec"]["template"]["spec"]
    containers = [*pod.get("initContainers", []), *pod["containers"]]
    limits = (one.get("resources", {}).get("limits") for one in containers if one["name"] == name)
    return str((next(limits, None) or {}).get("memory", "the node"))


def _ends(job: Object, seen: Seen) -> list[_End]:
    """Of the containers that ended, in the order in which they run."""
    return [
        _end(container, state["terminated"])
        for pod in pods_of_job(seen, job)
        for group in ("initContainerStatuses", "containerStatuses")
        for container in pod.get("status", {}).get(group, [])
        if "terminated" in (state := container.get("state", {}))
    ]


def _end(container: Object, terminated: Object) -> _End:
    return _End(
        container=container.get("name", ""),
        failed=terminated.get("exitCode", 1) != 0,
        out_of_memory=terminated.get("reason") == "OOMKilled",
        result=_result(terminated.get("message")),
    )


def _result(text: str | None) -> Object | None:
    try:
        result = json.loads(text) if text else None
    except ValueError:
        return None
    return result if isinstance(result, dict) else None
