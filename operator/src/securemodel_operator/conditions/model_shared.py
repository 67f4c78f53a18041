"""ModelShared: all three players hold shares of one program."""

from __future__ import annotations

from securemodel_operator.attempts import attempt_of, last_job, outcome_of, retry_after_s
from securemodel_operator.objects import Object
from securemodel_operator.ranges import ranges, words
from securemodel_operator.reasons import Reason
from securemodel_operator.seen import Seen, agreed, digest, pods_of_job
from securemodel_operator.spec.model import SecureModel
from securemodel_operator.state import State, fails, holds

from .pods import waits_for


def assess(sm: SecureModel, seen: Seen) -> State:
    known, how = digest(sm, seen), words(ranges(seen))
    if known and agreed(sm, seen, "generation"):
        shared = f"all three players hold shares of program {known[:12]}"
        return holds(Reason.SHARED, shared + how)
    if known and _silent_ones_may_have_theirs(sm, seen, known):
        given = f"the players were given shares of program {known[:12]}; not all answer now"
        return holds(Reason.SHARED, given + how)
    if seen.missing:
        return seen.missing

    job = last_job(seen)
    unfinished = _of_job(job, seen) if job else None
    waiting = "waiting for the players to report their shares"
    return unfinished or fails(Reason.SHARING, waiting)


def _silent_ones_may_have_theirs(sm: SecureModel, seen: Seen, known: str) -> bool:
    """Shares are on the players' volumes: a restart does not lose them."""
    reports = [report for player in sm.players if (report := seen.reports.get(player.name))]
    same_generation = len({report.get("generation") for report in reports}) <= 1
    same_program = all(report.get("digest") == known for report in reports)
    return len(reports) < len(sm.players) and same_generation and same_program


def _of_job(job: Object, seen: Seen) -> State | None:
    """What the share Job is at, or why it failed; None if it delivered."""
    outcome = outcome_of(job, seen)
    if outcome is None:
        pods = pods_of_job(seen, job)
        why = (waits_for(pods) if pods else None) or "running"
        at_work = f"the share Job {job['metadata']['name']} is at work ({why})"
        return fails(Reason.SHARING, at_work)
    if outcome.state.holds:
        return None

    then = f"not tried again: {outcome.advice}"
    if outcome.retryable:
        then = f"tried again {retry_after_s(attempt_of(job))} s after the failure"
    return fails(outcome.state.reason, f"{outcome.state.message} ({then})")
