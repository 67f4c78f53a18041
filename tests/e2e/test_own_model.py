"""A user's own model, as Keras saved it, with all that its owner can say beside the file."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import numpy as np
import pytest

import cluster
import networks
import securemodel
import small_models

NAME = "own"
LABELS = ["angry", "calm", "füchsisch, $(HOME)"]


def reference(name: str, data: bytes) -> dict[str, str]:
    return {"uri": f"configmap://own-files/{name}", "sha256": hashlib.sha256(data).hexdigest()}


def objects(files: dict[str, bytes], **model: Any) -> list[dict[str, Any]]:
    """The files in a ConfigMap, and a SecureModel that serves the first of them."""
    name, data = next(iter(files.items()))
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "own-files"},
            "binaryData": {key: base64.b64encode(value).decode() for key, value in files.items()},
        },
        {
            "apiVersion": "securemodel.dev/v1alpha1",
            "kind": "SecureModel",
            "metadata": {"name": NAME},
            "spec": {"model": {**reference(name, data), **model}},
        },
    ]


def test_a_keras_file_of_pixels_is_served_to_its_labels(namespace: str) -> None:
    saved = small_models.pixels()
    model = {"inputRange": {"low": "0", "high": "255"}, "labels": LABELS}
    cluster.apply(objects(saved.files, **model), namespace)
    cluster.wait_ready(NAME, namespace)

    with securemodel.connect(NAME, namespace) as served:
        private = served.predict(saved.inputs, timeout=60)
        logits = served.predict(saved.inputs, timeout=60, raw=True)
        classes = served.classes(private)
    assert np.abs(private - saved.answers).max() <= 1e-3
    assert np.abs(private.sum(axis=-1) - 1).max() <= 1e-9
    assert np.abs(logits.sum(axis=-1) - 1).max() > 1e-3, "not yet through the softmax"
    assert list(classes) == [LABELS[at] for at in saved.answers.argmax(-1)]

    obj = cluster.get("securemodel", NAME, namespace)
    assert obj["status"]["ranges"]["kind"] == "Proved"
    assert "inputBound" not in obj["spec"]["model"], "no default stands beside the range"
    shared = cluster.condition(obj, "ModelShared")["message"]
    assert shared.endswith("; ranges proved"), shared
    refuses_what_is_outside_its_range(namespace)
    holds_no_keys_where_the_file_is_opened(namespace)


def refuses_what_is_outside_its_range(namespace: str) -> None:
    with securemodel.connect(NAME, namespace) as served, pytest.raises(securemodel.InputError):
        served.predict(np.full((1, 12, 12, 3), -1.0))


def holds_no_keys_where_the_file_is_opened(namespace: str) -> None:
    (pod,) = cluster.items("pods", namespace, "app.kubernetes.io/component=share")
    (compiles,), (delivers,) = pod["spec"]["initContainers"], pod["spec"]["containers"]
    mounted = [
        {mount["name"] for mount in one["volumeMounts"]} & {"tls", "model"}
        for one in (compiles, delivers)
    ]
    assert mounted == [{"model"}, {"tls"}]
    # kubectl shows the first one's, where findings are, and both on request
    name = pod["metadata"]["name"]
    assert "reading the model" in cluster.kubectl("logs", name, "-n", namespace)
    both = cluster.kubectl("logs", name, "-n", namespace, "--all-containers")
    assert "delivering to the players" in both


def test_weights_are_served_with_the_architecture_beside_them(namespace: str) -> None:
    saved = small_models.weights_alone()
    files, architecture = saved.files, reference("m.json", saved.files["m.json"])
    rows = np.random.default_rng(1).uniform(-1, 1, (8, 16))
    files = files | {"rows.npy": small_models.npy(rows)}
    calibration = reference("rows.npy", files["rows.npy"])
    without = {name: data for name, data in files.items() if name != "m.json"}
    model = {"architecture": architecture, "calibration": calibration}
    cluster.apply(objects(without, **model), namespace)
    missing = cluster.wait_condition(NAME, namespace, "ModelShared", 30, reason="ArtifactNotFound")
    assert "no key 'm.json' (spec.model.architecture.uri)" in missing["message"]
    cluster.apply(objects(files, **model), namespace)
    cluster.wait_ready(NAME, namespace)
    with securemodel.connect(NAME, namespace) as served:
        private = served.predict(saved.inputs, timeout=60)
    assert np.abs(private - saved.answers).max() <= 1e-3


def test_ranges_that_are_not_proved_are_refused_to_who_wants_them_proved(namespace: str) -> None:
    """And served with what was met, said in the status, to who does not."""
    files = {"deep.h5": networks.rotations()}
    cluster.apply(objects(files, ranges="Proved"), namespace)
    found = cluster.wait_condition(NAME, namespace, "ModelShared", 90, reason="RangeOverflow")
    assert "not tried again" in found["message"]

    cluster.kubectl("delete", "securemodel", NAME, "-n", namespace, "--wait=true")
    cluster.apply(objects(files), namespace)
    cluster.wait_ready(NAME, namespace)
    obj = cluster.get("securemodel", NAME, namespace)
    ranges = obj["status"]["ranges"]
    assert (ranges["kind"], ranges["source"]) == ("Calibrated", "drawn")
    assert ranges["margin"] >= 16
    shared = cluster.condition(obj, "ModelShared")["message"]
    assert f"; ranges calibrated (drawn), margin {ranges['margin']:g} at layer" in shared
