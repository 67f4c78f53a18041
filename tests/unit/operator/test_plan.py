"""Plan and status as YAML in cases/<name>.

input.yaml is a SecureModel and what was seen, expected.yaml what to do and to say, status.yaml the
whole status.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from securemodel_operator.certificates import Certificates
from securemodel_operator.children import children
from securemodel_operator.children.child import Materials
from securemodel_operator.conditions import assess
from securemodel_operator.conditions.accepted import refusal
from securemodel_operator.drift import covers
from securemodel_operator.objects import Key, Object, key, secret_values
from securemodel_operator.ownership import conflicts
from securemodel_operator.pki import Issued
from securemodel_operator.plan import plan
from securemodel_operator.reasons import Reason
from securemodel_operator.seen import Seen
from securemodel_operator.settings import Settings
from securemodel_operator.spec.model import Batching
from securemodel_operator.spec.parse import parse
from securemodel_operator.state import fails
from securemodel_operator.status import status_of, status_of_refused

CASES = sorted(path.name for path in (Path(__file__).parent / "cases").iterdir())
NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
SETTINGS = Settings(
    player_image="registry/player:1", share_image="registry/share:1", pull_secrets=("pull",)
)
HOLDERS = ("alice", "bob", "carol", "share")
CERTIFICATES = Certificates(
    ca=Issued(certificate="CA", key="key"),
    leaves={holder: Issued(certificate=holder.upper(), key="key") for holder in HOLDERS},
)


def read(case: str) -> tuple[Any, Seen]:
    given = yaml.safe_load((Path(__file__).parent / "cases" / case / "input.yaml").read_text())
    sm = parse(given["securemodel"])
    there = given.get("seen") or {}
    missing = there.get("missing_reference")
    return sm, Seen(
        live={key(obj): obj for obj in there.get("live", [])},
        jobs=there.get("jobs", []),
        pods=there.get("pods", []),
        reports=there.get("players", {}),
        missing=fails(Reason(missing[0]), missing[1]) if missing else None,
        known_digest=there.get("known_digest"),
        known_ranges=there.get("known_ranges"),
    )


def secrets(sm: Any) -> dict[Key, Object]:
    """The certificates, stored: what `expected.yaml` shows is applied after them."""
    materials = Materials(settings=SETTINGS, certificates=CERTIFICATES, digest=None)
    found = [child for child in children(sm) if child.kind == "Secret"]
    return {child.key: child.manifest(sm, materials, None) for child in found}


@pytest.mark.parametrize("case", CASES)
def test_the_plan_and_the_conditions_are_as_written(case: str, renew_golden: bool) -> None:
    sm, seen = read(case)
    stored = replace(seen, live=seen.live | secrets(sm))
    todo = plan(sm, stored, CERTIFICATES, SETTINGS, NOW)
    states = assess(sm, seen)
    result = {
        "apply": todo.apply,
        "create": todo.create,
        "delete": [list(key) for key in todo.delete],
        "conditions": [f"{of}={s.holds} {s.reason}: {s.message}" for of, s in states.items()],
        "conflicts": [list(key) for key in conflicts(sm, seen.live)],
    }
    path = Path(__file__).parent / "cases" / case / "expected.yaml"
    if renew_golden:
        path.write_text(yaml.safe_dump(result, sort_keys=False, width=160))
    assert yaml.safe_load(path.read_text()) == result


def whole_status(sm: Any, seen: Seen) -> dict[str, Any]:
    """The status that the pass writes for a SecureModel that had none."""
    body = {"metadata": {"generation": sm.generation}}
    if why := refusal(sm, seen):
        return status_of_refused(why, body, NOW)
    return status_of(sm, seen, CERTIFICATES.ca.certificate, body, NOW)


@pytest.mark.parametrize("case", CASES)
def test_the_status_is_as_written(case: str, renew_golden: bool) -> None:
    result = whole_status(*read(case))
    path = Path(__file__).parent / "cases" / case / "status.yaml"
    if renew_golden:
        path.write_text(yaml.safe_dump(result, sort_keys=False, width=160))
    assert yaml.safe_load(path.read_text()) == result


def test_applying_the_plan_leaves_nothing_to_apply() -> None:
    sm, seen = read("fresh")
    todo = plan(sm, seen, CERTIFICATES, SETTINGS, NOW)
    live = {key(obj): obj for obj in todo.apply}
    again = plan(sm, Seen(live=live, jobs=todo.create), CERTIFICATES, SETTINGS, NOW)
    assert (again.apply, again.create, again.delete) == ([], [], [])


def test_certificates_are_applied_first_and_hold_what_a_player_mounts() -> None:
    sm, seen = read("fresh")
    todo = plan(sm, seen, CERTIFICATES, SETTINGS, NOW)
    kinds = [obj["kind"] for obj in todo.apply]
    assert kinds[:5] == ["Secret"] * 5
    assert "Secret" not in kinds[5:]
    alice = next(obj for obj in todo.apply if obj["metadata"]["name"] == "digits-alice-tls")
    assert alice["type"] == "kubernetes.io/tls"
    mounted = {"ca.crt": "CA", "tls.crt": "ALICE", "tls.key": "key"}
    assert secret_values(alice) == mounted


def test_a_changed_field_is_drift_and_an_added_one_is_not() -> None:
    wanted = {"spec": {"replicas": 1, "ports": [{"port": 1}]}}
    assert covers(
        {"spec": {"replicas": 1, "ports": [{"port": 1, "protocol": "TCP"}], "more": 1}}, wanted
    )
    assert not covers({"spec": {"replicas": 0, "ports": [{"port": 1}]}}, wanted)
    assert not covers({"spec": {"replicas": 1, "ports": []}}, wanted)
    assert not covers(None, wanted)


def test_changed_batching_changes_the_players_and_nothing_else() -> None:
    sm, seen = read("fresh")
    first = plan(sm, seen, CERTIFICATES, SETTINGS, NOW)
    live = {key(obj): obj for obj in first.apply}
    changed = replace(sm, batching=Batching(max_rows=32, max_delay_ms=5))
    todo = plan(changed, Seen(live=live, jobs=first.create), CERTIFICATES, SETTINGS, NOW)
    assert [(obj["kind"], obj["metadata"]["name"]) for obj in todo.apply] == [
        ("StatefulSet", f"digits-{role}") for role in ("alice", "bob", "carol")
    ]
    assert (todo.create, todo.delete) == ([], [])
    for obj in todo.apply:
        assert obj["spec"]["template"]["spec"]["containers"][0]["args"][-4:] == [
            "--max-rows",
            "32",
            "--batch-delay-ms",
            "5",
        ]


def containers(job: Object) -> tuple[Object, Object]:
    """The one that opens the model file, and the one that delivers."""
    pod = job["spec"]["template"]["spec"]
    (compiles,), (delivers,) = pod["initContainers"], pod["containers"]
    return compiles, delivers


def argument(container: Object, name: str) -> str:
    args: list[str] = container["args"]
    return args[args.index(name) + 1]


def share_job_of(**model: Any) -> Object:
    metadata = {"name": "digits", "namespace": "ns", "uid": "u", "generation": 1}
    spec = {"uri": "configmap://weights/m.h5", "sha256": "0" * 64, **model}
    sm = parse({"metadata": metadata, "spec": {"model": spec}})
    return plan(sm, Seen(), CERTIFICATES, SETTINGS, NOW).create[0]


def test_what_opens_the_model_file_holds_no_keys_and_what_holds_them_has_no_file() -> None:
    job = share_job_of(
        architecture={"uri": "configmap://weights/m.json", "sha256": "1" * 64},
        calibration={"uri": "https://host/rows.npy", "sha256": "2" * 64},
    )
    compiles, delivers = containers(job)
    mounted = [
        {mount["name"]: mount.get("readOnly", False) for mount in one["volumeMounts"]}
        for one in (compiles, delivers)
    ]
    assert mounted == [
        {"tmp": False, "model": True, "architecture": True, "compiled": False},
        {"cluster": True, "tls": True, "compiled": True},
    ]
    assert (compiles["args"][0], delivers["args"][0]) == ("compile", "deliver")
    assert argument(compiles, "--compiled") == argument(delivers, "--compiled") == "/compiled"
    volumes = {volume["name"]: volume for volume in job["spec"]["template"]["spec"]["volumes"]}
    assert volumes["compiled"]["emptyDir"] == {"medium": "Memory"}, "weights are on no disk"
    assert len(volumes) == len(job["spec"]["template"]["spec"]["volumes"]) == 6
    for one in (compiles, delivers):
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
        assert one["resources"]["limits"] == {"memory": "2Gi"}


def test_the_share_job_is_told_what_the_owner_says_of_the_model() -> None:
    labels = [f"class {i}" for i in range(150)]
    job = share_job_of(
        inputRange={"low": "-1.5", "high": "255"}, labels=labels, ranges="Proved", tolerance="0.01"
    )
    args = containers(job)[0]["args"]
    assert {"--input-low=-1.5", "--input-high=255"} <= set(args)
    assert not [arg for arg in args if arg.startswith("--input-bound")]
    assert argument(containers(job)[0], "--ranges") == "Proved"
    assert argument(containers(job)[0], "--tolerance") == "0.01"
    parts = [json.loads(arg.partition("=")[2]) for arg in args if arg.startswith("--labels=")]
    assert [label for part in parts for label in part] == labels
    assert [len(part) for part in parts] == [100, 50]

    plain = containers(share_job_of())[0]
    assert argument(plain, "--input-bound") == "1.0"
    assert argument(plain, "--ranges") == "Calibrated"
    assert not [arg for arg in plain["args"] if arg.startswith(("--labels", "--tolerance"))]


def test_the_longest_labels_fit_into_arguments_and_none_is_a_variable() -> None:
    """Linux takes 128 KiB an argument; the kubelet replaces $(NAME), and $$ by $."""
    widest = ["\U0001f98a" * 256] * 150
    args = containers(share_job_of(labels=widest))[0]["args"]
    assert max(len(arg.encode()) for arg in args) < 1 << 17
    args = containers(share_job_of(labels=["$(HOME)", "$$"]))[0]["args"]
    assert '--labels=["$$(HOME)", "$$$$"]' in args


@pytest.mark.parametrize("protocol", ["SecureNN", "ASTRA"])
def test_the_share_job_and_the_clients_are_told_the_protocol(protocol: str) -> None:
    sm, seen = read("fresh")
    todo = plan(replace(sm, protocol=protocol), seen, CERTIFICATES, SETTINGS, NOW)
    _, delivers = containers(todo.create[0])
    assert argument(delivers, "--protocol") == protocol
    client = next(obj for obj in todo.apply if obj["metadata"]["name"] == "digits-client")
    assert json.loads(client["data"]["client.json"])["protocol"] == protocol


def test_every_object_has_its_owner_and_the_models_label() -> None:
    sm, seen = read("fresh")
    todo = plan(sm, seen, CERTIFICATES, SETTINGS, NOW)
    for obj in (*todo.apply, *todo.create):
        assert obj["metadata"]["ownerReferences"] == [sm.owner]
        assert obj["metadata"]["labels"]["securemodel.dev/model"] == sm.name


def test_a_field_that_the_ranges_no_longer_have_is_taken_out_once() -> None:
    """The status is merged into what is there."""
    sm, _ = read("serving")
    before = {"kind": "Calibrated", "source": "drawn", "margin": 20, "layer": "a"}
    seen = Seen(known_ranges={"kind": "Proved", "layer": "b"})

    def written(known: Object) -> Object:
        body = {"metadata": {"generation": 1}, "status": {"ranges": known}}
        return status_of(sm, seen, "CA", body, NOW)["ranges"]

    gone = {"source": None, "margin": None}
    assert written(before) == {"kind": "Proved", "layer": "b", **gone}
    assert written({"kind": "Proved", "layer": "b"}) == {"kind": "Proved", "layer": "b"}
