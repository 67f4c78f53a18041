"""The Helm chart as rendered: least privilege, no privileged pods, and a strict schema."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts/securemodel"
HELM = ROOT / "tests/cluster/in"


def helm(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HELM, "helm", *args], capture_output=True, text=True, timeout=60, check=False
    )


def rendered(*values: str) -> dict[tuple[str, str], dict[str, Any]]:
    done = helm(
        "template", "securemodel", str(CHART), "--kube-version", "1.34.0", "--include-crds",
        "--namespace", "securemodel-system", *values,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), "no error and no warning"
    return {
        (obj["kind"], obj["metadata"]["name"]): obj
        for obj in yaml.safe_load_all(done.stdout)
        if obj
    }


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], dict[str, Any]]:
    return rendered()


def test_the_crd_is_the_canonical_one(objects) -> None:
    canonical = (ROOT / "crds/securemodels.securemodel.dev.yaml").read_text()
    assert (CHART / "crds/securemodels.securemodel.dev.yaml").read_text() == canonical, (
        "make golden copies it"
    )
    assert objects["CustomResourceDefinition", "securemodels.securemodel.dev"] == yaml.safe_load(
        canonical
    )


def test_rules_are_sorted_and_name_every_verb(objects) -> None:
    rules = objects["ClusterRole", "securemodel-operator"]["rules"]
    keys = [(rule["apiGroups"], rule["resources"]) for rule in rules]
    assert keys == sorted(keys)
    assert len({str(key) for key in keys}) == len(keys), "one rule a resource"
    for rule in rules:
        assert rule["verbs"] == sorted(rule["verbs"])
        assert "*" not in (*rule["verbs"], *rule["resources"], *rule["apiGroups"])


def test_secrets_can_be_neither_listed_nor_watched_nor_deleted(objects) -> None:
    rules = objects["ClusterRole", "securemodel-operator"]["rules"]
    verbs = next(rule["verbs"] for rule in rules if rule["resources"] == ["secrets"])
    assert verbs == ["create", "get", "patch"]


def test_the_operators_pod_has_no_privileges(objects) -> None:
    deployment = objects["Deployment", "securemodel-operator"]["spec"]
    assert deployment["replicas"] == 1
    assert deployment["strategy"] == {"type": "Recreate"}
    pod = deployment["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    context = pod["containers"][0]["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_registry_tags_and_pull_secrets_reach_every_image() -> None:
    tags = "image.player.tag=p,image.share.tag=s,image.operator.tag=o"
    values = f"image.registry=reg.example,{tags},imagePullSecrets={{pull}}"
    objects = rendered("--set", values)
    pod = objects["Deployment", "securemodel-operator"]["spec"]["template"]["spec"]
    environment = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
    assert pod["containers"][0]["image"] == "reg.example/securemodel/operator:o"
    assert (environment["PLAYER_IMAGE"], environment["SHARE_IMAGE"]) == (
        "reg.example/securemodel/player:p",
        "reg.example/securemodel/share:s",
    )
    assert environment["IMAGE_PULL_SECRETS"] == '["pull"]'
    assert pod["imagePullSecrets"] == [{"name": "pull"}]


@pytest.mark.parametrize(
    "value",
    ["unknown=1", "image.pullPolicy=Sometimes", "player.volume.size=big", "operator.replicas=2"],
)
def test_values_that_the_schema_does_not_know_are_refused(value: str) -> None:
    done = helm("template", "securemodel", str(CHART), "--kube-version", "1.34.0", "--set", value)
    assert done.returncode != 0
    assert "schema" in done.stderr
