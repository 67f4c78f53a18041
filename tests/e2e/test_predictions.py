"""A SecureModel on a real cluster answers private predictions, and goes on doing so."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import cluster
import reference
import securemodel

PLAYERS = ("alice", "bob", "carol")


def test_all_held_out_digits_are_classified_as_in_the_clear(served: str) -> None:
    images, _ = reference.digits()
    expected = reference.logits(images)
    with securemodel.connect("digits", served) as model:
        private = model.predict(images)
    assert private.shape == expected.shape == (360, 10)
    assert (private.argmax(1) == expected.argmax(1)).all()
    assert np.abs(private - expected).max() <= 1e-3


def test_the_command_line_predicts_from_outside_the_cluster(served: str, tmp_path) -> None:
    import subprocess

    command = [
        str(Path(sys.executable).with_name("securemodel")), "predict", "digits", "-n", served,
        "--input", str(cluster.ROOT / "examples/digits/digits.npy"),
        "--output", str(tmp_path / "y.npy"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "360 rows in" in done.stdout
    assert np.load(tmp_path / "y.npy").shape == (360, 10)


def test_a_client_in_a_pod_predicts_by_dns_without_access_to_the_api(served: str) -> None:
    package = cluster.ROOT / "client/src/securemodel"
    source = {path.name: path.read_text() for path in package.glob("*.py")}
    script = """if True:
        import numpy, securemodel
        with securemodel.connect("digits") as model:
            print(model.predict(numpy.zeros((2, 28, 28, 1)))[0].tolist())
    """
    share_pod = cluster.items("jobs", served)[0]["spec"]["template"]["spec"]
    mounts = [
        {"name": "client", "mountPath": "/client/securemodel"},
        {"name": "config", "mountPath": "/etc/digits"},
    ]
    container = {
        "name": "client",
        "image": share_pod["containers"][0]["image"],  # has Python and numpy
        "command": ["/venv/bin/python", "-c", script],
        "env": [
            {"name": "PYTHONPATH", "value": "/client"},
            {"name": "SECUREMODEL_CONFIG_DIR", "value": "/etc/digits"},
        ],
        "volumeMounts": mounts,
    }
    volumes = [
        {"name": "client", "configMap": {"name": "client-source"}},
        {"name": "config", "configMap": {"name": "digits-client"}},
    ]
    pod = {
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": volumes,
    }
    named = {"name": "client-source"}
    cluster.apply(
        [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": source},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": pod},
        ],
        served,
    )

    def ended() -> str | None:
        phase = cluster.get("pod", "client", served)["status"]["phase"]
        return phase if phase in ("Succeeded", "Failed") else None

    phase = cluster.wait(ended, 60, "the pod ends")
    log = cluster.kubectl("logs", "client", "-n", served)
    assert phase == "Succeeded", log
    expected = reference.logits(np.zeros((1, 28, 28, 1)))[0]
    assert np.abs(np.array(json.loads(log)) - expected).max() <= 1e-3


def test_a_model_that_is_not_there_is_named(served: str) -> None:
    with pytest.raises(securemodel.ModelNotFoundError, match="nowhere"):
        securemodel.connect("nowhere", served)


@pytest.mark.parametrize("player", PLAYERS)
def test_a_restarted_player_serves_its_kept_shares(served: str, player: str) -> None:
    images = reference.digits()[0][:2]
    expected = reference.logits(images)
    jobs = [job["metadata"]["name"] for job in cluster.items("jobs", served)]
    wrong: list[float] = []
    failures: list[Exception] = []
    answered = 0
    stop = threading.Event()

    def ask() -> None:
        nonlocal answered
        while not stop.is_set():
            try:
                with securemodel.connect("digits", served) as model:
                    while not stop.is_set():
                        error = float(np.abs(model.predict(images, timeout=60) - expected).max())
                        answered += 1
                        if error > 1e-3:
                            wrong.append(error)
            except securemodel.SecureModelError as error:
                failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(2)
    cluster.kubectl("delete", "pod", f"digits-{player}-0", "-n", served, "--wait=true")
    before = answered
    cluster.wait(lambda: answered > before + 5, 60, "predictions after the restart")
    stop.set()
    asking.join(70)

    assert not wrong
    assert not failures, failures
    assert [job["metadata"]["name"] for job in cluster.items("jobs", served)] == jobs, (
        "no new share Job"
    )


def test_no_player_has_a_service_account_token_or_privileges(served: str) -> None:
    for pod in cluster.items("pods", served, "securemodel.dev/model=digits"):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*spec.get("initContainers", []), *spec["containers"]):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_no_secret_or_weight_shows_in_logs_events_or_status(served: str) -> None:
    import base64

    secrets = []
    for secret in cluster.items("secrets", served):
        for name, value in secret["data"].items():
            if name == "tls.key":
                key = base64.b64decode(value).decode().splitlines()
                secrets.append(key[1][:40])
    assert len(secrets) == 5

    texts = [
        cluster.kubectl("logs", "-n", served, pod["metadata"]["name"], "--all-containers")
        for pod in cluster.items("pods", served)
    ]
    texts.append(cluster.kubectl("get", "events", "-n", served, "-o", "yaml"))
    texts.append(cluster.kubectl("get", "securemodel", "digits", "-n", served, "-o", "yaml"))
    texts.append(
        cluster.kubectl("logs", "-n", "securemodel-system", "deployment/securemodel-operator")
    )
    for text in texts:
        assert not any(secret in text for secret in secrets)


def test_drift_is_repaired(served: str) -> None:
    cluster.kubectl("scale", "statefulset", "digits-carol", "--replicas=0", "-n", served)
    cluster.kubectl("delete", "service", "digits-bob", "-n", served)
    cluster.kubectl("delete", "configmap", "digits-client", "-n", served)
    cluster.kubectl("delete", "secret", "digits-alice-tls", "-n", served)
    cluster.kubectl(
        "patch", "secret", "digits-bob-tls", "-n", served, "-p", '{"data": {"tls.key": "anVuaw=="}}'
    )

    def repaired() -> bool:
        if cluster.get("secret", "digits-bob-tls", served)["data"]["tls.key"] == "anVuaw==":
            return False
        carol = cluster.get("statefulset", "digits-carol", served)
        there = [
            cluster.get(kind, name, served)
            for kind, name in (
                ("service", "digits-bob"),
                ("configmap", "digits-client"),
                ("secret", "digits-alice-tls"),
            )
        ]
        return carol is not None and carol["spec"]["replicas"] == 1 and all(there)

    jobs = [job["metadata"]["name"] for job in cluster.items("jobs", served)]
    cluster.wait(repaired, 10, "drift is repaired")
    # alice starts again with her new certificate
    cluster.wait_ready("digits", served, 90)
    images = reference.digits()[0][:2]
    with securemodel.connect("digits", served) as model:
        assert np.abs(model.predict(images, timeout=60) - reference.logits(images)).max() <= 1e-3
    assert [job["metadata"]["name"] for job in cluster.items("jobs", served)] == jobs, (
        "a finished Job is not drift"
    )
