"""The SecureModel as typed values.

The API server has checked the schema; what is checked again here guards against an old CRD.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .names import GROUP, KIND, ROLES, SHARE, VERSION, Names, Seat

LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
MAX_NAME = 52
# the first is the default
PROTOCOLS = ("SecureNN", "ASTRA")


class InvalidSpecError(ValueError):
    """The spec cannot be served; the message says what to change."""


@dataclass(frozen=True)
class ConfigMapKey:
    name: str
    key: str


@dataclass(frozen=True)
class ModelSource:
    uri: str
    sha256: str
    input_bound: str = "1.0"
    ca_bundle: ConfigMapKey | None = None
    credentials_secret: str | None = None

    @property
    def config_map(self) -> ConfigMapKey | None:
        """Where the artifact lies, if in a ConfigMap."""
        if not self.uri.startswith("configmap://"):
            return None
        name, _, key = self.uri.removeprefix("configmap://").partition("/")
        return ConfigMapKey(name, key)


@dataclass(frozen=True)
class Batching:
    """How players join waiting requests into one batch."""

    max_rows: int = 256
    max_delay_ms: int = 0


# spec.serving.batching: the field, its smallest and its largest value
BATCHING_BOUNDS = {"maxRows": (1, 65536), "maxDelayMs": (0, 1000)}


@dataclass(frozen=True)
class Player:
    name: str
    role: str

    @property
    def seat(self) -> Seat:
        """Where this player sits; replicas will be further seats."""
        return Seat(self.name)


@dataclass(frozen=True)
class SecureModel:
    namespace: str
    name: str
    uid: str
    generation: int
    model: ModelSource
    protocol: str
    players: tuple[Player, ...]
    batching: Batching = Batching()

    @property
    def names(self) -> Names:
        return Names(namespace=self.namespace, model=self.name)

    @property
    def owner(self) -> dict[str, Any]:
        """The owner reference of every child.

        It does not block: deleting works with the operator stopped.
        """
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }


def parse(body: dict[str, Any]) -> SecureModel:
    """The object as a value.

    Raises:
        InvalidSpecError: for whatever could not be served.
    """
    metadata, spec = body["metadata"], body.get("spec") or {}
    model = spec.get("model") or {}
    names = [
        player.get("name", "")
        for player in spec.get("players") or [{"name": role} for role in ROLES]
    ]
    if not model.get("uri", "").startswith(("configmap://", "https://")):
        raise InvalidSpecError("spec.model.uri must be configmap://name/key or https://host/path")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", model.get("sha256", "")):
        raise InvalidSpecError("spec.model.sha256 must be 64 hex digits: sha256sum model.h5")
    if len(names) != len(ROLES) or len(set(names)) != len(ROLES):
        raise InvalidSpecError("spec.players must be three players with distinct names")
    for name in (metadata["name"], *names):
        if not LABEL.fullmatch(name) or name == SHARE:
            raise InvalidSpecError(
                f"{name!r} is not a DNS label, or is reserved; "
                "use lower-case letters, digits and '-', beginning with a letter"
            )
    if max(len(metadata["name"]) + 1 + len(name) for name in names) > MAX_NAME:
        raise InvalidSpecError(
            f"metadata.name and a player's name are together longer than {MAX_NAME} characters"
        )
    protocol = spec.get("protocol", PROTOCOLS[0])
    if protocol not in PROTOCOLS:
        raise InvalidSpecError(
            f"spec.protocol {protocol!r} is not known; {' and '.join(PROTOCOLS)} are"
        )
    bundle, credentials = model.get("caBundle"), model.get("credentialsSecretRef")
    source = ModelSource(
        model["uri"],
        model["sha256"].lower(),
        model.get("inputBound", "1.0"),
        ConfigMapKey(bundle["name"], bundle.get("key", "ca.crt")) if bundle else None,
        credentials["name"] if credentials else None,
    )
    players = tuple(Player(name, role) for name, role in zip(names, ROLES, strict=True))
    return SecureModel(
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        metadata["generation"],
        source,
        protocol,
        players,
        _batching(spec),
    )


def _batching(spec: dict[str, Any]) -> Batching:
    batching = (spec.get("serving") or {}).get("batching") or {}
    for name, (least, most) in BATCHING_BOUNDS.items():
        value = batching.get(name, least)
        if not isinstance(value, int) or not least <= value <= most:
            raise InvalidSpecError(
                f"spec.serving.batching.{name} is {value!r}; "
                f"it must be a whole number from {least} to {most}"
            )
    return Batching(
        batching.get("maxRows", Batching.max_rows),
        batching.get("maxDelayMs", Batching.max_delay_ms),
    )
