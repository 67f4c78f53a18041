from __future__ import annotations

import pytest

from securemodel_operator.api import InvalidSpecError, parse
from securemodel_operator.conditions import State, changes, merge
from securemodel_operator.reasons import Condition, Reason, from_player, from_share_step
from securemodel_operator.settings import SettingsError, load


def state(status: bool, message: str = "") -> State:
    return State(Condition.SERVING, status, Reason.SERVING if status else Reason.NO_SHARES, message)


def test_the_time_moves_only_when_the_status_flips() -> None:
    first = merge([], [state(False)], 1, "t1")
    assert merge(first, [state(False, "new message")], 1, "t2")[0]["lastTransitionTime"] == "t1"
    assert merge(first, [state(True)], 1, "t2")[0]["lastTransitionTime"] == "t2"


def test_only_new_statuses_and_reasons_become_events() -> None:
    first = merge([], [state(False)], 1, "t1")
    assert changes(first, merge(first, [state(False, "other words")], 1, "t2")) == []
    assert len(changes(first, merge(first, [state(True)], 1, "t2"))) == 1
    assert len(changes([], first)) == 1


def test_an_unknown_reason_from_outside_is_not_copied() -> None:
    assert from_share_step("<script>") is Reason.SHARE_JOB_FAILED
    assert from_share_step("HashMismatch") is Reason.HASH_MISMATCH
    assert from_player(None) is Reason.NOT_REACHABLE


def body(**spec: object) -> dict:
    model = {"uri": "configmap://m/k", "sha256": "0" * 64}
    return {"metadata": {"name": "digits", "namespace": "ns", "uid": "u", "generation": 1}, "spec": {"model": model, **spec}}


def test_defaults_are_those_of_the_crd() -> None:
    sm = parse(body())
    assert [(p.name, p.role) for p in sm.players] == [("alice", "alice"), ("bob", "bob"), ("carol", "carol")]
    assert (sm.protocol, sm.model.input_bound) == ("ASTRA", "1.0")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"model": {"uri": "s3://b/k", "sha256": "0" * 64}}, "spec.model.uri"),
        ({"model": {"uri": "configmap://m/k", "sha256": "xyz"}}, "sha256sum"),
        ({"players": [{"name": "a"}, {"name": "a"}, {"name": "b"}]}, "distinct"),
        ({"players": [{"name": "a"}, {"name": "B"}, {"name": "c"}]}, "DNS label"),
        ({"players": [{"name": "a" * 50}, {"name": "b"}, {"name": "c"}]}, "52"),
        ({"protocol": "GMW"}, "GMW"),
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
