from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from securemodel_operator.conditions import assess
from securemodel_operator.events import changes
from securemodel_operator.reasons import Condition, Reason, final, reported, under_way
from securemodel_operator.seen import Seen
from securemodel_operator.settings import SettingsError, load
from securemodel_operator.spec.model import Batching, InputRange
from securemodel_operator.spec.parse import BATCHING_BOUNDS, RANGES, InvalidSpecError, parse
from securemodel_operator.spec.protocols import PROTOCOLS
from securemodel_operator.spec.sources import SOURCES
from securemodel_operator.state import States, fails, holds
from securemodel_operator.status import merge

ROOT = Path(__file__).resolve().parents[3]


def serving(status: bool, message: str = "") -> States:
    state = holds(Reason.SERVING, message) if status else fails(Reason.NO_SHARES, message)
    return {Condition.SERVING: state}


def test_the_time_moves_only_when_the_status_flips() -> None:
    first = merge([], serving(False), 1, "t1")
    assert merge(first, serving(False, "new message"), 1, "t2")[0]["lastTransitionTime"] == "t1"
    assert merge(first, serving(True), 1, "t2")[0]["lastTransitionTime"] == "t2"


def test_only_new_statuses_and_reasons_become_events() -> None:
    first = merge([], serving(False), 1, "t1")
    assert changes(first, merge(first, serving(False, "other words"), 1, "t2")) == []
    assert len(changes(first, merge(first, serving(True), 1, "t2"))) == 1
    assert len(changes([], first)) == 1


def test_an_unknown_reason_from_outside_is_not_copied() -> None:
    for otherwise in (Reason.SHARE_JOB_FAILED, Reason.NOT_REACHABLE):
        reason, message = reported("<script>", "said", image="share", otherwise=otherwise)
        assert reason is otherwise
        assert message.startswith("said (this operator does not know the reason <script>")
        known = reported("HashMismatch", "said", image="share", otherwise=otherwise)
        assert known == (Reason.HASH_MISMATCH, "said")
        assert reported(None, "said", image="player", otherwise=otherwise) == (otherwise, "said")
        assert reported(["a"], "said", image="player", otherwise=otherwise)[0] is otherwise


def test_a_final_reason_is_not_tried_again_and_only_progress_is_under_way() -> None:
    assert final("HashMismatch")
    assert not final("FetchFailed")
    assert not final("FromALaterShareStep"), "an unknown one is as the share step says"
    assert under_way("Sharing")
    assert not under_way("HashMismatch")
    assert not under_way("FromALaterShareStep")


READY_PODS = [
    {
        "metadata": {"name": f"digits-{role}-0", "labels": {"securemodel.dev/player": role}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    for role in ("alice", "bob", "carol")
]


def test_a_players_reason_without_a_row_here_is_shown_as_it_was_said() -> None:
    report = {"ready": False, "reason": "FromALaterVersion", "message": "new keys"}
    players = dict.fromkeys(("alice", "bob", "carol"), report)
    seen = Seen(pods=READY_PODS, reports=players)
    serving = assess(parse(body()), seen)[Condition.SERVING]
    assert (serving.holds, serving.reason) == (False, "FromALaterVersion")
    assert serving.message == (
        "alice: new keys (this operator does not know the reason FromALaterVersion: "
        "the player image is of another version)"
    )


def test_a_player_without_shares_is_named_and_not_what_the_others_say_of_it() -> None:
    of_carol = {"ready": False, "reason": "DigestMismatch", "message": "carol has another program"}
    broken = {"ready": False, "reason": "SharesUnreadable", "message": "damaged", "digest": None}
    others = {"alice": of_carol | {"digest": "d0"}, "bob": of_carol | {"digest": "d0"}}
    seen = Seen(pods=READY_PODS, reports={**others, "carol": broken})
    state = assess(parse(body()), seen)[Condition.SERVING]
    assert (state.reason, state.message) == (Reason.SHARES_UNREADABLE, "carol: damaged")


def test_a_share_jobs_reason_without_a_row_here_is_shown_as_it_was_said() -> None:
    result = '{"reason": "FromALaterShareStep", "message": "90 layers", "retryable": false}'
    pod = {
        "metadata": {"name": "x", "labels": {"batch.kubernetes.io/job-name": "digits-share-1"}},
        "status": {"containerStatuses": [{"state": {"terminated": {"message": result}}}]},
    }
    failed = {"type": "Failed", "status": "True", "lastTransitionTime": "2026-01-02T11:59:30Z"}
    job = {
        "kind": "Job",
        "metadata": {"name": "digits-share-1"},
        "status": {"conditions": [failed]},
    }
    seen = Seen(pods=[*READY_PODS, pod], jobs=[job])
    shared = assess(parse(body()), seen)[Condition.MODEL_SHARED]
    assert (shared.holds, shared.reason) == (False, "FromALaterShareStep")
    assert shared.message.startswith(
        "90 layers (this operator does not know the reason FromALaterShareStep: "
        "the share image is of another version)"
    )


MODEL = {"uri": "configmap://m/k", "sha256": "0" * 64}


def body(**spec: object) -> dict:
    return {
        "metadata": {"name": "digits", "namespace": "ns", "uid": "u", "generation": 1},
        "spec": {"model": MODEL, **spec},
    }


def test_defaults_are_those_of_the_crd() -> None:
    sm = parse(body())
    assert [(p.name, p.role) for p in sm.players] == [
        ("alice", "alice"),
        ("bob", "bob"),
        ("carol", "carol"),
    ]
    assert (sm.protocol, sm.batching) == ("SecureNN", Batching(max_rows=256, max_delay_ms=0))
    model = sm.model
    assert (model.inputs, model.ranges, model.tolerance, model.labels) == (
        "1.0",
        "Calibrated",
        None,
        (),
    )


def test_an_input_bound_that_an_older_crd_stored_by_default_stays() -> None:
    stored = {"uri": "configmap://m/k", "sha256": "0" * 64, "inputBound": "1.0"}
    assert parse(body(model=stored)) == parse(body())


def test_an_input_range_stands_without_a_bound() -> None:
    ranged = body()["spec"]["model"] | {"inputRange": {"low": "0", "high": "255"}}
    assert parse(body(model=ranged)).model.inputs == InputRange(low="0", high="255")


def test_what_is_checked_again_is_what_the_crd_says() -> None:
    crd = yaml.safe_load((ROOT / "crds/securemodels.securemodel.dev.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    spec = schema["spec"]["properties"]

    protocol = spec["protocol"]
    assert (tuple(protocol["enum"]), protocol["default"]) == (PROTOCOLS, PROTOCOLS[0])

    model = spec["model"]["properties"]
    for file in (model, model["architecture"]["properties"], model["calibration"]["properties"]):
        rule = file["uri"]["x-kubernetes-validations"][0]["rule"]
        assert re.findall(r"\^([a-z0-9]+)://", rule) == [row.scheme for row in SOURCES]
    assert (tuple(model["ranges"]["enum"]), model["ranges"]["default"]) == (RANGES, RANGES[0])
    assert "default" not in model["inputBound"], "it would stand beside an inputRange"

    serving = spec["serving"]
    batching = serving["properties"]["batching"]
    bounds = {n: (f["minimum"], f["maximum"]) for n, f in batching["properties"].items()}
    defaults = {name: field["default"] for name, field in batching["properties"].items()}
    assert bounds == BATCHING_BOUNDS
    assert [serving["default"], batching["default"]] == [{}, {}]
    assert Batching(max_rows=defaults["maxRows"], max_delay_ms=defaults["maxDelayMs"]) == Batching()


@pytest.mark.parametrize("protocol", ["ASTRA", "SecureNN"])
def test_a_stored_protocol_stays(protocol: str) -> None:
    assert parse(body(protocol=protocol)).protocol == protocol


def test_batching_is_given_in_part_or_whole() -> None:
    assert parse(body(serving={})).batching == Batching(max_rows=256, max_delay_ms=0)
    assert parse(body(serving={"batching": {"maxRows": 65536}})).batching == Batching(
        max_rows=65536, max_delay_ms=0
    )
    assert parse(
        body(serving={"batching": {"maxRows": 1, "maxDelayMs": 1000}})
    ).batching == Batching(max_rows=1, max_delay_ms=1000)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"model": {"uri": "s3://b/k", "sha256": "0" * 64}}, "spec.model.uri"),
        ({"model": {"uri": "configmap://m/k", "sha256": "xyz"}}, "sha256sum"),
        ({"model": MODEL | {"architecture": {"uri": "ftp://a/b"}}}, "spec.model.architecture.uri"),
        (
            {"model": MODEL | {"calibration": {"uri": "https://a/b", "sha256": ""}}},
            "spec.model.calibration.sha256",
        ),
        (
            {"model": MODEL | {"inputBound": "1", "inputRange": {"low": "0", "high": "1"}}},
            "inputBound or spec.model.inputRange, not both",
        ),
        ({"model": MODEL | {"inputRange": {"low": "0"}}}, "must have low and high"),
        ({"model": MODEL | {"ranges": "Hoped"}}, "'Hoped' is not known; Calibrated and Proved are"),
        ({"players": [{"name": "a"}, {"name": "a"}, {"name": "b"}]}, "distinct"),
        ({"players": [{"name": "a"}, {"name": "B"}, {"name": "c"}]}, "DNS label"),
        ({"players": [{"name": "a" * 50}, {"name": "b"}, {"name": "c"}]}, "52"),
        ({"protocol": "GMW"}, "GMW.*SecureNN and ASTRA"),
        (
            {"serving": {"batching": {"maxRows": 0}}},
            "spec.serving.batching.maxRows is 0.*from 1 to 65536",
        ),
        ({"serving": {"batching": {"maxRows": 65537}}}, "maxRows is 65537"),
        ({"serving": {"batching": {"maxRows": "many"}}}, "maxRows is 'many'"),
        (
            {"serving": {"batching": {"maxDelayMs": -1}}},
            "spec.serving.batching.maxDelayMs is -1.*from 0 to 1000",
        ),
        ({"serving": {"batching": {"maxDelayMs": 1001}}}, "maxDelayMs is 1001"),
        ({"serving": {"batching": {"maxDelayMs": 0.5}}}, "maxDelayMs is 0.5"),
    ],
)
def test_what_an_old_crd_let_through_is_refused_with_the_field(spec: dict, says: str) -> None:
    with pytest.raises(InvalidSpecError, match=says):
        parse(body(**spec))


def test_settings_name_the_variable_that_is_wrong() -> None:
    with pytest.raises(SettingsError, match="SHARE_IMAGE"):
        load({"PLAYER_IMAGE": "p"})
    with pytest.raises(SettingsError, match="PLAYER_RESOURCES is not JSON"):
        load({"PLAYER_IMAGE": "p", "SHARE_IMAGE": "s", "PLAYER_RESOURCES": "{"})
