from __future__ import annotations

import json
from typing import Any

import pytest

from securemodel_operator.objects import Object
from securemodel_operator.ranges import ranges, words
from securemodel_operator.seen import Seen

JOB = {"metadata": {"name": "digits-share-1", "annotations": {"securemodel.dev/attempt": "1"}}}


def seen(found: Any, known: Object | None = None) -> Seen:
    end = {"exitCode": 0, "message": json.dumps({"ranges": found})}
    pod = {
        "metadata": {"labels": {"batch.kubernetes.io/job-name": "digits-share-1"}},
        "status": {"initContainerStatuses": [{"name": "compile", "state": {"terminated": end}}]},
    }
    return Seen(jobs=[JOB], pods=[pod], known_ranges=known)


def told(**found: Any) -> str:
    return words(ranges(seen(found)))


def test_users_read_how_the_ranges_are_known() -> None:
    proved = {"kind": "Proved", "source": None, "margin": 3.25, "layer": "dense"}
    assert told(**proved) == "; ranges proved"
    drawn = {"kind": "Calibrated", "source": "drawn", "margin": 120.0, "layer": "conv2d_3"}
    assert told(**drawn) == "; ranges calibrated (drawn), margin 120 at layer 'conv2d_3'"
    assert told(**drawn | {"source": "rows", "margin": None}) == "; ranges calibrated (rows)"
    assert words(None) == ""


def test_the_status_has_what_applies_and_nothing_else() -> None:
    proved = {"kind": "Proved", "source": None, "margin": None, "layer": "dense", "rows": 3}
    assert ranges(seen(proved)) == {"kind": "Proved", "layer": "dense"}


@pytest.mark.parametrize("found", [None, [], "Proved", 7])
def test_what_a_job_of_another_release_says_leaves_what_is_known(found: Any) -> None:
    known = {"kind": "Proved"}
    assert ranges(seen(found, known)) == known
    assert ranges(Seen(jobs=[JOB], known_ranges=known)) == known
    assert ranges(Seen(known_ranges=known)) == known
    assert ranges(seen(found)) is None


def test_a_strange_field_is_left_out() -> None:
    strange = {"kind": {"a": 1}, "source": 7, "margin": float("nan"), "layer": "x" * 1000}
    assert ranges(seen(strange)) == {"layer": "x" * 256}
    assert told(**strange) == ""
