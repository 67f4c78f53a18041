"""Deleting a SecureModel leaves nothing, with and without the operator."""

from __future__ import annotations

import pytest

import cluster

OPERATOR = ("-n", "securemodel-system", "deployment/securemodel-operator")


def everything(namespace: str) -> set[str]:
    """All namespaced objects of all kinds, events aside."""
    kinds = cluster.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    kinds = sorted({kind for kind in kinds if kind.split(".")[0] != "events"})
    found = cluster.kubectl(
        "get", ",".join(kinds), "-n", namespace, "-o", "name", "--ignore-not-found", timeout=120
    )
    return set(found.split())


@pytest.mark.parametrize(
    "operator_runs", [True, False], ids=["operator running", "operator stopped"]
)
def test_deleting_removes_everything(namespace: str, operator_runs: bool) -> None:
    model, data = cluster.sample()
    cluster.apply(data, namespace)
    cluster.wait(
        lambda: cluster.get("serviceaccount", "default", namespace),
        10,
        "the namespace's own objects",
    )
    before = everything(namespace)
    cluster.apply(model, namespace)
    cluster.wait_ready("digits", namespace)
    during = everything(namespace) - before
    assert len(during) > 20, during
    try:
        if not operator_runs:
            cluster.kubectl("scale", *OPERATOR, "--replicas=0")
            cluster.wait(
                lambda: not cluster.items("pods", "securemodel-system"), 30, "the operator is gone"
            )
        cluster.kubectl("delete", "securemodel", "digits", "-n", namespace, "--wait=false")
        cluster.wait(lambda: everything(namespace) == before, 30, "nothing is left")
    finally:
        if not operator_runs:
            cluster.kubectl("scale", *OPERATOR, "--replicas=1")
            cluster.kubectl("rollout", "status", *OPERATOR, "--timeout=60s", timeout=90)
