"""What a spec refers to: ConfigMaps and Secrets that the user makes."""

from __future__ import annotations

from dataclasses import dataclass

from .objects import Key, Object
from .reasons import Reason
from .spec.model import SecureModel
from .spec.sources import ConfigMapKey
from .state import State, fails


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An object that must be there, the field that names it, and what is said if it is not."""

    kind: str
    name: str
    field: str
    reason: Reason
    how_to_make: str
    key: str | None = None

    @property
    def object_key(self) -> Key:
        return self.kind, self.name


def references(sm: SecureModel) -> list[Reference]:
    """In the order in which a missing one is told."""
    model = sm.model
    found = [
        _config_map(where, f"{file.field}.uri", Reason.ARTIFACT_NOT_FOUND)
        for file in model.files
        if (where := file.artifact.config_map)
    ]
    if model.ca_bundle:
        field = "spec.model.caBundle"
        found.append(_config_map(model.ca_bundle, field, Reason.REFERENCE_NOT_FOUND))
    if model.credentials_secret:
        found.append(_credentials(model.credentials_secret))
    return found


def missing(sm: SecureModel, reference: Reference, obj: Object | None) -> State | None:
    """What to tell if the object, as it is, does not have what is referred to."""
    if obj is None:
        return fails(
            reference.reason,
            f"there is no {reference.kind} {reference.name!r} in namespace {sm.namespace!r} "
            f"({reference.field}); {reference.how_to_make}",
        )
    keys = sorted([*obj.get("data", {}), *obj.get("binaryData", {})])
    if reference.key is None or reference.key in keys:
        return None
    return fails(
        reference.reason,
        f"{reference.kind} {reference.name!r} has no key {reference.key!r} ({reference.field}); "
        f"it has {', '.join(keys) or 'none'}",
    )


def _config_map(where: ConfigMapKey, field: str, reason: Reason) -> Reference:
    command = f"kubectl create configmap {where.name} --from-file={where.key}=..."
    return Reference(
        kind="ConfigMap",
        name=where.name,
        key=where.key,
        field=field,
        reason=reason,
        how_to_make=f"create it: {command}",
    )


def _credentials(name: str) -> Reference:
    return Reference(
        kind="Secret",
        name=name,
        field="spec.model.credentialsSecretRef",
        reason=Reason.REFERENCE_NOT_FOUND,
        how_to_make="create it with the key token, or username and password",
    )
