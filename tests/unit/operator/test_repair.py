"""What is lost, broken or refused after a model was served."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from securemodel_operator import names
from securemodel_operator.attempts import next_attempt
from securemodel_operator.certificates import Certificates, renewed
from securemodel_operator.children import children
from securemodel_operator.children.child import Materials
from securemodel_operator.children.share_job import share_job
from securemodel_operator.conditions import assess
from securemodel_operator.drift import covers
from securemodel_operator.objects import key
from securemodel_operator.ownership import conflicts, previous
from securemodel_operator.pki import Issued
from securemodel_operator.plan import plan
from securemodel_operator.reasons import Condition, Reason
from securemodel_operator.seen import Seen, digest
from securemodel_operator.settings import Settings
from securemodel_operator.spec.parse import parse

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BODY = {
    "apiVersion": "securemodel.dev/v1alpha1",
    "kind": "SecureModel",
    "metadata": {"name": "digits", "namespace": "ns", "uid": "u", "generation": 1},
    "spec": {"model": {"uri": "https://host/m.h5", "sha256": "0" * 64}},
}
SM = parse(BODY)
SETTINGS = Settings(player_image="player:1", share_image="share:1")
CERTIFICATES = Certificates(
    ca=Issued(certificate="CA", key="key"),
    leaves={
        holder: Issued(certificate=holder, key="key")
        for holder in ("alice", "bob", "carol", "share")
    },
)
HELD = {"digest": "d" * 64, "generation": "g", "ready": True}


def secrets() -> dict:
    materials = Materials(settings=SETTINGS, certificates=renewed(SM, {}, NOW), digest=None)
    found = [child for child in children(SM) if child.kind == "Secret"]
    return {child.key: child.manifest(SM, materials, None) for child in found}


def applied(live: dict, settings: Settings = SETTINGS) -> dict:
    return {
        key(obj): obj
        for obj in plan(
            SM,
            Seen(live=live, jobs=[{"kind": "Job", "metadata": {"name": "j"}}]),
            CERTIFICATES,
            settings,
            NOW,
        ).apply
    }


def claim(**metadata: object) -> dict:
    labels = {names.MODEL_LABEL: "digits", names.PLAYER_LABEL: "alice"}
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "standard",
        "volumeName": "v",
    }
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-digits-alice-0", "labels": labels, **metadata},
        "spec": spec,
    }


def test_a_claim_that_the_stateful_set_made_anew_gets_its_owner() -> None:
    live = {("PersistentVolumeClaim", "data-digits-alice-0"): claim()}
    assert conflicts(SM, live) == []
    made = applied(live)["PersistentVolumeClaim", "data-digits-alice-0"]
    assert made["metadata"]["ownerReferences"] == [SM.owner]
    assert made["spec"]["storageClassName"] == "standard", (
        "what cannot be changed is as it was made"
    )


def test_another_ones_claim_is_not_taken_over() -> None:
    for foreign in (
        claim(labels={}),
        claim(labels={names.MODEL_LABEL: "digits", names.PLAYER_LABEL: "bob"}),
        claim(ownerReferences=[{"uid": "x", "controller": True}]),
    ):
        live = {("PersistentVolumeClaim", "data-digits-alice-0"): foreign}
        assert conflicts(SM, live) == [("PersistentVolumeClaim", "data-digits-alice-0")]


def test_what_a_deleted_namesake_left_is_told_from_a_conflict() -> None:
    owner = {**SM.owner, "uid": "an earlier one"}
    assert previous(SM, {"metadata": {"ownerReferences": [owner]}})
    assert not previous(SM, {"metadata": {"ownerReferences": [{**owner, "kind": "Deployment"}]}})
    assert not previous(SM, {"metadata": {}})


def test_another_volume_size_is_for_new_volumes_only() -> None:
    live = applied({})
    assert applied(live, replace(SETTINGS, volume_size="9Gi", storage_class="fast")) == {}


@pytest.mark.parametrize(
    ("live", "wanted"), [("1", "1000m"), ("500m", "0.5"), ("1Gi", "1024Mi"), ("1k", "1000")]
)
def test_a_quantity_in_other_words_is_not_drift(live: str, wanted: str) -> None:
    assert covers({"cpu": live}, {"cpu": wanted})
    assert not covers({"cpu": live}, {"cpu": "7"})


def test_what_others_add_to_a_list_is_not_drift_that_we_could_repair() -> None:
    assert covers(
        [{"name": "istio-proxy"}, {"name": "player", "image": "a", "more": 1}],
        [{"name": "player", "image": "a"}],
    )
    assert not covers([{"name": "player", "image": "b"}], [{"name": "player", "image": "a"}])
    assert not covers(["--player", "bob"], ["--player", "alice"])


@pytest.mark.parametrize("change", ["junk", "bob's"])
def test_a_changed_key_or_anothers_certificate_is_issued_again(change: str) -> None:
    live = secrets()
    data = (
        live["Secret", "digits-bob-tls"]["data"]
        if change == "bob's"
        else {"tls.key": base64.b64encode(b"junk").decode()}
    )
    live["Secret", "digits-alice-tls"]["data"] = {
        **live["Secret", "digits-alice-tls"]["data"],
        **data,
    }
    assert list(renewed(SM, live, NOW).issued) == ["alice"]


def test_a_ca_whose_key_is_lost_is_made_anew_with_all_that_it_signed() -> None:
    live = secrets()
    live["Secret", "digits-ca"]["data"]["tls.key"] = base64.b64encode(b"junk").decode()
    assert list(renewed(SM, live, NOW).issued) == ["ca", "alice", "bob", "carol", "share"]


def test_a_restart_neither_shares_again_nor_unshares() -> None:
    restarting = Seen(reports={"alice": HELD, "bob": HELD}, known_digest=HELD["digest"])
    assert next_attempt(SM, restarting, NOW) is None, "also without the Job that shared it"
    shared = assess(SM, restarting)[Condition.MODEL_SHARED]
    assert (shared.holds, shared.reason) == (True, Reason.SHARED)
    assert digest(SM, restarting) == HELD["digest"]


def test_only_players_that_answer_can_say_that_shares_are_lost() -> None:
    lost = Seen(
        reports={"alice": HELD, "bob": HELD, "carol": {"reason": "NoShares"}},
        known_digest=HELD["digest"],
    )
    assert next_attempt(SM, lost, NOW) == 1
    assert not assess(SM, lost)[Condition.MODEL_SHARED].holds


def test_the_longest_names_fit_a_label() -> None:
    longest = parse(
        {
            **BODY,
            "metadata": {**BODY["metadata"], "name": "m" * 50},
            "spec": {**BODY["spec"], "players": [{"name": n} for n in "abc"]},
        }
    )
    materials = Materials(settings=SETTINGS, certificates=CERTIFICATES, digest=None)
    assert len(share_job(longest, 1, materials)["metadata"]["name"]) <= 63
    for player in longest.players:
        assert len(longest.names.stateful_set(player.name)) + len("-0123456789") <= 63
