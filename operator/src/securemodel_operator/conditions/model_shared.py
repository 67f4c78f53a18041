"""ModelShared: all three players hold shares of one program."""

from __future__ import annotations

from securemodel_operator.attempts import FIRST_RETRY_S, LAST_RETRY_S, attempt_of, job_outcome
from securemodel_operator.reasons import Condition, Reason
from securemodel_operator.seen import Snapshot, agreed, digest, pods_of
from securemodel_operator.spec.model import SecureModel

from .pods import waits_for
from .state import State


def model_shared(sm: SecureModel, snapshot: Snapshot) -> State:
    known = digest(sm, snapshot)
    if known and agreed(sm, snapshot, "generation"):
        return State(
            Condition.MODEL_SHARED,
            True,
            Reason.SHARED,
            f"all three players hold shares of program {known[:12]}",
        )
    if known and _silent_ones_may_have_theirs(sm, snapshot, known):
        return State(
            Condition.MODEL_SHARED,
            True,
            Reason.SHARED,
            f"the players were given shares of program {known[:12]}; not all answer now",
        )
    if snapshot.missing_reference:
        return State(Condition.MODEL_SHARED, False, *snapshot.missing_reference)
    if snapshot.jobs:
        job = max(snapshot.jobs, key=attempt_of)
        outcome = job_outcome(job, snapshot)
        if outcome is None:
            pods = pods_of(snapshot, "share", job["metadata"]["name"])
            why = (waits_for(pods) if pods else None) or "running"
            return State(
                Condition.MODEL_SHARED,
                False,
                Reason.SHARING,
                f"the share Job {job['metadata']['name']} is at work ({why})",
            )
        if not outcome.succeeded:
            wait = min(FIRST_RETRY_S * 2 ** (attempt_of(job) - 1), LAST_RETRY_S)
            then = (
                f" (tried again {wait} s after the failure)"
                if outcome.retryable
                else " (not tried again: delete this SecureModel, correct it and create it anew)"
            )
            return State(Condition.MODEL_SHARED, False, outcome.reason, outcome.message + then)
    return State(
        Condition.MODEL_SHARED,
        False,
        Reason.SHARING,
        "waiting for the players to report their shares",
    )


def _silent_ones_may_have_theirs(sm: SecureModel, snapshot: Snapshot, known: str) -> bool:
    """Shares are on the players' volumes: a restart does not lose them."""
    reports = [report for player in sm.players if (report := snapshot.players.get(player.name))]
    same = len({report.get("generation") for report in reports}) <= 1
    return (
        len(reports) < len(sm.players)
        and same
        and all(report.get("digest") == known for report in reports)
    )
