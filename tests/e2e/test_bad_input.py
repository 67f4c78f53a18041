"""What users get wrong gives a condition that names the thing and the next step.

Nothing else is disturbed.
"""

from __future__ import annotations

import base64
import copy
import hashlib
from typing import Any

import numpy as np
import pytest

import cluster
import networks

MODEL, DATA = cluster.sample()
BYTES = base64.b64decode(DATA["binaryData"]["model.h5"])


def securemodel(**model: Any) -> dict[str, Any]:
    obj = copy.deepcopy(MODEL)
    obj["spec"]["model"].update(model)
    return obj


def stored(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """A ConfigMap with these bytes as the model, and the SecureModel with their hash."""
    config = copy.deepcopy(DATA)
    config["binaryData"]["model.h5"] = base64.b64encode(data).decode()
    return securemodel(sha256=hashlib.sha256(data).hexdigest()), config


def refused(namespace: str, reason: str, *says: str) -> dict[str, Any]:
    found = cluster.wait_condition("digits", namespace, "ModelShared", 90, reason=reason)
    assert found["status"] == "False"
    for text in says:
        assert text in found["message"], found["message"]
    ready = cluster.condition(cluster.get("securemodel", "digits", namespace), "Ready")
    assert ready["status"] == "False"
    return found


def test_a_missing_artifact_is_named_and_heals_when_it_comes(namespace: str) -> None:
    cluster.apply(MODEL, namespace)
    refused(namespace, "ArtifactNotFound", "digits-model", "kubectl create configmap")
    cluster.apply(DATA, namespace)
    cluster.wait_ready("digits", namespace)


def test_a_missing_key_is_named(namespace: str) -> None:
    cluster.apply([DATA, securemodel(uri="configmap://digits-model/other.h5")], namespace)
    refused(namespace, "ArtifactNotFound", "other.h5", "model.h5")


def test_a_wrong_hash_is_refused_for_good(namespace: str) -> None:
    cluster.apply([DATA, securemodel(sha256="0" * 64)], namespace)
    refused(namespace, "HashMismatch", hashlib.sha256(BYTES).hexdigest(), "0" * 64)
    assert len(cluster.items("jobs", namespace)) == 1


def test_a_truncated_file_is_refused(namespace: str) -> None:
    cluster.apply(list(stored(BYTES[:5000])), namespace)
    refused(namespace, "InvalidModel", "truncated")


def network(layers: list, weights: Any = np.ones) -> bytes:
    return networks.keras_file((6,), layers, weights)


MODELS = {
    "Lambda": (
        network([networks.dense(2), ("Lambda", {"name": "evil", "function": "x"})]),
        "UnsupportedLayer",
        "'evil' (Lambda)",
    ),
    "unknown layer": (
        network([("LSTM", {"name": "lstm_1", "units": 4})]),
        "UnsupportedLayer",
        "'lstm_1' (LSTM)",
    ),
    "NaN": (
        network([networks.dense(2, name="broken")], lambda shape: np.full(shape, np.nan)),
        "WeightsOutOfRange",
        "'broken'",
    ),
    "too large": (
        network([networks.dense(2, name="huge")], lambda shape: np.full(shape, 1e12)),
        "WeightsOutOfRange",
        "'huge'",
    ),
    "overflow": (
        network(
            [networks.dense(2, name="wide", activation="relu")], lambda shape: np.full(shape, 3e4)
        ),
        "RangeOverflow",
        "'wide'",
    ),
    "web page": (b"<!DOCTYPE html><html>Sign in</html>", "InvalidModel", "a web page"),
}


def test_what_the_fixed_point_loses_is_refused_with_what_to_accept(namespace: str) -> None:
    obj, data = stored(networks.lost())
    obj["spec"]["model"]["inputBound"] = "30000"
    cluster.apply([obj, data], namespace)
    refused(namespace, "PrecisionLost", "spec.model.tolerance")


@pytest.mark.parametrize("case", MODELS)
def test_a_model_that_cannot_be_served_is_refused_with_the_layer(namespace: str, case: str) -> None:
    data, reason, says = MODELS[case]
    cluster.apply(list(stored(data)), namespace)
    refused(namespace, reason, says, "not tried again")


FILE = {"uri": "configmap://a/b", "sha256": "0" * 64}
OBJECTS = {
    "two players": ({"players": [{"name": "a"}, {"name": "b"}]}, "at least 3"),
    "equal names": ({"players": [{"name": "a"}, {"name": "a"}, {"name": "c"}]}, "distinct names"),
    "name of the share step": (
        {"players": [{"name": "share"}, {"name": "b"}, {"name": "c"}]},
        "taken by the share step",
    ),
    "no DNS label": ({"players": [{"name": "A_b"}, {"name": "b"}, {"name": "c"}]}, "DNS label"),
    "long names": ({"players": [{"name": "a" * 40}, {"name": "b" * 40}, {"name": "c" * 40}]}, None),
    "unknown protocol": ({"protocol": "GMW"}, "supported values"),
    "no rows": ({"serving": {"batching": {"maxRows": 0}}}, "spec.serving.batching.maxRows"),
    "long delay": (
        {"serving": {"batching": {"maxDelayMs": 1001}}},
        "spec.serving.batching.maxDelayMs",
    ),
    "short hash": ({"model": {"uri": "configmap://a/b", "sha256": "abc"}}, "64 hex digits"),
    "ftp": ({"model": {"uri": "ftp://a/b", "sha256": "0" * 64}}, "configmap://name/key"),
    "credentials in the URI": (
        {"model": {"uri": "https://user:pass@host/m.h5", "sha256": "0" * 64}},
        "without credentials",
    ),
    "bound": (
        {"model": {"uri": "configmap://a/b", "sha256": "0" * 64, "inputBound": "-1"}},
        "inputBound",
    ),
    "bound and range": (
        {"model": FILE | {"inputBound": "1", "inputRange": {"low": "0", "high": "1"}}},
        "give one of them",
    ),
    "range upside down": (
        {"model": FILE | {"inputRange": {"low": "1", "high": "-1"}}},
        "low below high",
    ),
    "range of words": ({"model": FILE | {"inputRange": {"low": "0", "high": "x"}}}, "decimal"),
    "architecture without a hash": (
        {"model": FILE | {"architecture": {"uri": "configmap://a/b"}}},
        "spec.model.architecture.sha256",
    ),
    "calibration by ftp": (
        {"model": FILE | {"calibration": {"uri": "ftp://a/b", "sha256": "0" * 64}}},
        "spec.model.calibration.uri",
    ),
    "no label": ({"model": FILE | {"labels": []}}, "spec.model.labels"),
    "unknown ranges": ({"model": FILE | {"ranges": "Hoped"}}, "supported values"),
    "tolerance": ({"model": FILE | {"tolerance": "0"}}, "above 0"),
    "no model": ({"model": None}, "spec.model"),
}


@pytest.mark.parametrize("case", OBJECTS)
def test_an_invalid_object_is_refused_by_the_api_server(namespace: str, case: str) -> None:
    changes, says = OBJECTS[case]
    obj = copy.deepcopy(MODEL)
    obj["spec"].update(changes)
    if case == "long names":
        obj["metadata"]["name"] = "m" * 20
        says = "at most 52"
    with pytest.raises(cluster.KubectlError) as error:
        cluster.apply(obj, namespace)
    assert says in str(error.value)


def test_what_is_immutable_cannot_change(namespace: str) -> None:
    cluster.apply(MODEL, namespace)
    changes = (
        {"model": {**MODEL["spec"]["model"], "sha256": "1" * 64}},
        {"players": [{"name": "p"}, {"name": "q"}, {"name": "r"}]},
        {"protocol": "ASTRA"},
    )
    for change in changes:
        obj = copy.deepcopy(MODEL)
        obj["spec"].update(change)
        with pytest.raises(cluster.KubectlError, match="immutable; delete this SecureModel"):
            cluster.apply(obj, namespace)


def test_an_object_that_is_not_ours_is_never_taken_over(namespace: str) -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "digits-cluster"},
        "data": {"mine": "yes"},
    }
    cluster.apply([foreign, DATA, MODEL], namespace)
    found = cluster.wait_condition("digits", namespace, "Accepted", 30, status="False")
    assert found["reason"] == "NameConflict"
    assert "ConfigMap digits-cluster" in found["message"]
    assert cluster.get("configmap", "digits-cluster", namespace)["data"] == {"mine": "yes"}
    assert not cluster.items("statefulsets", namespace)
    cluster.kubectl("delete", "configmap", "digits-cluster", "-n", namespace)
    cluster.wait_ready("digits", namespace)
