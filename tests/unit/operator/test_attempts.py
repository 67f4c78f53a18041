"""How a share Job ended, by what its two containers and the kubelet say of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from securemodel_operator.attempts import compiled, next_attempt, outcome_of
from securemodel_operator.conditions.pods import waits_for
from securemodel_operator.objects import Object
from securemodel_operator.seen import Seen
from securemodel_operator.spec.parse import parse

ENDED = "2026-01-02T12:00:00Z"
LATER = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC) + timedelta(hours=1)
FAILURE = {"reason": "FetchFailed", "message": "HTTP 503", "retryable": True}
REFUSED = {"reason": "InvalidModel", "message": "a web page", "retryable": False}
SUCCESS = {"digest": "d0", "ranges": {"kind": "Proved"}}
WITHOUT_SHARES = {"ready": False, "reason": "NoShares"}
PLAYERS = {"alice": WITHOUT_SHARES, "bob": WITHOUT_SHARES, "carol": WITHOUT_SHARES}


def ended(name: str, code: int, said: Any = None, reason: str = "Completed") -> Object:
    message = {} if said is None else {"message": json.dumps(said)}
    return {
        "name": name,
        "state": {"terminated": {"exitCode": code, "reason": reason, **message}},
    }


def job(attempt: int = 1, condition: str = "Failed") -> Object:
    limits = {"resources": {"limits": {"memory": "2Gi"}}}
    pod = {
        "initContainers": [{"name": "compile", **limits}],
        "containers": [{"name": "share", "resources": {}}],
    }
    state = {"type": condition, "status": "True", "lastTransitionTime": ENDED, "message": "limit"}
    return {
        "kind": "Job",
        "metadata": {
            "name": "digits-share-1",
            "annotations": {"securemodel.dev/attempt": str(attempt)},
        },
        "spec": {"template": {"spec": pod}},
        "status": {"conditions": [state]},
    }


def seen(of: Object, compiles: Object | None, shares: Object | None = None) -> Seen:
    status = {
        "initContainerStatuses": [compiles] if compiles else [],
        "containerStatuses": [shares] if shares else [],
    }
    labels = {"batch.kubernetes.io/job-name": of["metadata"]["name"]}
    pod = {"metadata": {"name": "x", "labels": labels}, "status": status}
    return Seen(jobs=[of], pods=[pod], reports=PLAYERS)


WAITS = {"name": "share", "state": {"waiting": {"reason": "PodInitializing"}}}
ENDS = {
    "compile refuses": (ended("compile", 2, REFUSED), WAITS, "InvalidModel", "a web page", False),
    "compile fails": (ended("compile", 1, FAILURE), WAITS, "FetchFailed", "HTTP 503", True),
    "share fails": (
        ended("compile", 0, SUCCESS),
        ended("share", 1, FAILURE),
        "FetchFailed",
        "HTTP 503",
        True,
    ),
    "share dies": (
        ended("compile", 0, SUCCESS),
        ended("share", 137, None, "Error"),
        "ShareJobFailed",
        "the share Job digits-share-1 failed without a result: limit",
        True,
    ),
    "share dies of memory": (
        ended("compile", 0, SUCCESS),
        ended("share", 137, None, "OOMKilled"),
        "ShareJobFailed",
        "the container share of the share Job digits-share-1 needed more memory than its limit",
        True,
    ),
    "a Job of the release before": (None, ended("share", 2, REFUSED), "InvalidModel", "", False),
    "no pod left": (None, None, "ShareJobFailed", "without a result", True),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
def test_a_failed_job_says_what_the_container_said_that_failed(case: str) -> None:
    compiles, shares, reason, says, retryable = ENDS[case]
    failed = job()
    outcome = outcome_of(failed, seen(failed, compiles, shares))
    assert outcome is not None
    assert (outcome.state.holds, outcome.state.reason) == (False, reason)
    assert says in outcome.state.message
    assert outcome.retryable is retryable


def test_a_model_that_needs_too_much_memory_is_not_tried_for_ever() -> None:
    killed = ended("compile", 137, None, "OOMKilled")
    metadata = {"name": "digits", "namespace": "ns", "uid": "u", "generation": 1}
    model = {"uri": "configmap://m/k", "sha256": "0" * 64}
    sm = parse({"metadata": metadata, "spec": {"model": model}})
    tried = []
    for attempt in range(1, 10):
        failed = job(attempt)
        outcome = outcome_of(failed, seen(failed, killed, WAITS))
        assert outcome is not None
        assert "compile of the share Job digits-share-1 needed more memory" in outcome.state.message
        assert "its limit of 2Gi" in outcome.state.message
        following = next_attempt(sm, seen(failed, killed, WAITS), LATER)
        if following is None:
            assert outcome.advice == "once the limit is raised, delete the Job digits-share-1"
            break
        tried.append(following)
    assert tried == [2, 3]
    # the advice works: with that Job gone there is a first attempt again
    assert next_attempt(sm, Seen(reports=PLAYERS), LATER) == 1


def test_what_the_first_container_found_is_known_while_the_second_one_works() -> None:
    running = {"name": "share", "state": {"running": {}}}
    at_work = job(condition="Suspended")
    assert compiled(at_work, seen(at_work, ended("compile", 0, SUCCESS), running)) == SUCCESS
    assert compiled(at_work, seen(at_work, ended("compile", 2, REFUSED), WAITS)) is None
    assert compiled(at_work, seen(at_work, None, ended("share", 0, SUCCESS))) is None


def test_a_pod_that_compiles_says_so_and_one_without_its_image_why() -> None:
    def waits(compiles: Object) -> str | None:
        return waits_for(seen(job(), compiles, WAITS).pods)

    assert waits({"name": "compile", "state": {"running": {}}}) == "compile is running"
    assert waits(ended("compile", 0, SUCCESS)) == "starting"
    lacking = {"reason": "ImagePullBackOff", "message": "no such image"}
    assert waits({"name": "compile", "state": {"waiting": lacking}}) == (
        "ImagePullBackOff: no such image"
    )
