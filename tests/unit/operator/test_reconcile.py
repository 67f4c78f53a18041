"""Whole passes against an API server in memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from securemodel_operator.kube import KubeError
from securemodel_operator.objects import key
from securemodel_operator.reconcile import BUSY_FOR, BUSY_S, SETTLED_S, Reconciler
from securemodel_operator.settings import Settings

BODY = {
    "apiVersion": "securemodel.dev/v1alpha1",
    "kind": "SecureModel",
    "metadata": {"name": "digits", "namespace": "ns", "uid": "u", "generation": 1},
    "spec": {"model": {"uri": "https://host/m.h5", "sha256": "0" * 64}},
}
SETTINGS = Settings(player_image="player:1", share_image="share:1")


class FakeKube:
    """An API server that refuses StatefulSets, as a quota does."""

    def __init__(self) -> None:
        self.body = {**BODY}
        self.objects: dict[tuple[str, str], dict] = {}
        self.refuses: str | None = "StatefulSet"

    async def get(self, kind: str, _namespace: str, name: str) -> dict | None:
        return self.body if kind == "SecureModel" else self.objects.get((kind, name))

    async def children(self, kind: str, *_: str) -> list[dict]:
        return [obj for (k, _), obj in self.objects.items() if k == kind]

    async def apply(self, obj: dict) -> None:
        if obj["kind"] == self.refuses:
            raise KubeError("PATCH", 403, "exceeded quota: compute")
        self.objects[key(obj)] = obj

    async def create(self, obj: dict) -> None:
        if obj["kind"] != "Event":
            self.objects[key(obj)] = obj

    async def write_status(self, _namespace: str, _name: str, status: dict) -> None:
        self.body = {**self.body, "status": status}


class NoPlayers:
    async def reports(self, _: object) -> dict:
        return {}


def test_an_object_that_the_api_server_refuses_is_told_and_does_not_stop_the_rest() -> None:
    kube = FakeKube()
    again = asyncio.run(Reconciler(kube, NoPlayers(), SETTINGS).run("ns", "digits", "u"))
    conditions = {c["type"]: c for c in kube.body["status"]["conditions"]}
    assert conditions["PlayersReady"]["reason"] == conditions["Ready"]["reason"] == "ApplyFailed"
    assert "exceeded quota: compute" in conditions["Ready"]["message"]
    assert [k for k in kube.objects if k[0] == "Job"], "the share Job is made all the same"
    assert again == SETTLED_S


def test_a_model_that_does_not_get_ready_is_asked_less_often() -> None:
    kube = FakeKube()
    kube.refuses = None
    assert asyncio.run(Reconciler(kube, NoPlayers(), SETTINGS).run("ns", "digits", "u")) == BUSY_S
    for condition in kube.body["status"]["conditions"]:
        condition["lastTransitionTime"] = (
            datetime.now(UTC) - BUSY_FOR - timedelta(seconds=5)
        ).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (
        asyncio.run(Reconciler(kube, NoPlayers(), SETTINGS).run("ns", "digits", "u")) == SETTLED_S
    )


def run_pass(kube: FakeKube) -> None:
    kube.refuses = None
    asyncio.run(Reconciler(kube, NoPlayers(), SETTINGS).run("ns", "digits", "u"))


def test_what_is_applied_is_never_applied_over_an_object_that_is_not_ours() -> None:
    fresh = FakeKube()
    run_pass(fresh)
    applied = [(kind, name) for kind, name in fresh.objects if kind != "Job"]
    assert ("StatefulSet", "digits-alice") in applied, "the pass gets to its end"
    for kind, name in applied:
        kube = FakeKube()
        foreign = {"kind": kind, "metadata": {"name": name}}
        kube.objects = {(kind, name): foreign}
        run_pass(kube)
        accepted = kube.body["status"]["conditions"][0]
        assert (accepted["type"], accepted["reason"]) == ("Accepted", "NameConflict"), (kind, name)
        assert f"{kind} {name}" in accepted["message"]
        assert kube.objects == {(kind, name): foreign}, "nothing is made, and nothing is touched"
