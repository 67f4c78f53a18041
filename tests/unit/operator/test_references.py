from __future__ import annotations

from typing import Any

from securemodel_operator.reasons import Reason
from securemodel_operator.references import missing, references
from securemodel_operator.spec.parse import parse


def model(**spec: Any) -> Any:
    metadata = {"name": "digits", "namespace": "ns", "uid": "u", "generation": 1}
    return parse({"metadata": metadata, "spec": {"model": {"sha256": "0" * 64, **spec}}})


IN_CONFIG_MAP = model(uri="configmap://weights/m.h5")
FETCHED = model(
    uri="https://host/m.h5", caBundle={"name": "roots"}, credentialsSecretRef={"name": "login"}
)


def told(sm: Any, obj: dict[str, Any] | None) -> list[tuple[str, str]]:
    found = (missing(sm, reference, obj) for reference in references(sm))
    return [(state.reason, state.message) for state in found if state]


def test_a_missing_config_map_is_told_with_the_command_that_makes_it() -> None:
    says = (
        "there is no ConfigMap 'weights' in namespace 'ns' (spec.model.uri); "
        "create it: kubectl create configmap weights --from-file=m.h5=..."
    )
    assert told(IN_CONFIG_MAP, None) == [(Reason.ARTIFACT_NOT_FOUND, says)]


def test_a_missing_key_is_told_with_the_keys_that_there_are() -> None:
    says = "ConfigMap 'weights' has no key 'm.h5' (spec.model.uri); it has a, b"
    assert told(IN_CONFIG_MAP, {"data": {"b": ""}, "binaryData": {"a": ""}}) == [
        (Reason.ARTIFACT_NOT_FOUND, says)
    ]
    assert told(IN_CONFIG_MAP, {"binaryData": {"m.h5": ""}}) == []


def test_each_file_that_lies_in_a_config_map_is_looked_for() -> None:
    sm = model(
        uri="configmap://weights/m.h5",
        architecture={"uri": "configmap://weights/m.json", "sha256": "1" * 64},
        calibration={"uri": "configmap://rows/x.npy", "sha256": "2" * 64},
    )
    says = [
        "ConfigMap 'weights' has no key 'm.json' (spec.model.architecture.uri); it has m.h5",
        "ConfigMap 'rows' has no key 'x.npy' (spec.model.calibration.uri); it has m.h5",
    ]
    assert told(sm, {"binaryData": {"m.h5": ""}}) == [
        (Reason.ARTIFACT_NOT_FOUND, says[0]),
        (Reason.ARTIFACT_NOT_FOUND, says[1]),
    ]


def test_bundle_and_credentials_are_looked_for_in_this_order() -> None:
    bundle, credentials = told(FETCHED, None)
    assert bundle[1].startswith("there is no ConfigMap 'roots' in namespace 'ns' (spec.model.caB")
    assert credentials == (
        Reason.REFERENCE_NOT_FOUND,
        (
            "there is no Secret 'login' in namespace 'ns' (spec.model.credentialsSecretRef); "
            "create it with the key token, or username and password"
        ),
    )
    assert told(FETCHED, {"data": {"ca.crt": "", "token": ""}}) == []
