"""A SecureModel read from its object.

The API server has checked the schema; what is checked again here guards against an old CRD.
"""

from __future__ import annotations

import re
from typing import Any

from securemodel_operator.names import ROLES, SHARE

from .model import (
    ARCHITECTURE,
    CALIBRATION,
    INPUT_BOUND,
    MODEL,
    Batching,
    File,
    InputRange,
    ModelSource,
    Player,
    SecureModel,
)
from .protocols import PROTOCOLS
from .sources import SOURCES, ConfigMapKey, source_of

LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
MAX_NAME = 52
RANGES = (ModelSource.ranges, "Proved")
# spec.serving.batching: the field, its smallest and its largest value
BATCHING_BOUNDS = {"maxRows": (1, 65536), "maxDelayMs": (0, 1000)}

Fields = dict[str, Any]


class InvalidSpecError(ValueError):
    """The spec cannot be served; the message says what to change."""


def parse(body: Fields) -> SecureModel:
    """The object as a value.

    Raises:
        InvalidSpecError: for whatever could not be served.
    """
    metadata, spec = body["metadata"], body.get("spec") or {}
    return SecureModel(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata["generation"],
        model=_model(spec.get("model") or {}),
        players=_players(metadata["name"], spec),
        protocol=_protocol(spec),
        batching=_batching(spec),
    )


def _model(model: Fields) -> ModelSource:
    bundle, credentials = model.get("caBundle"), model.get("credentialsSecretRef")
    named = [name for name in (ARCHITECTURE, CALIBRATION) if model.get(name)]
    return ModelSource(
        files=(
            _file(MODEL, "spec.model", model),
            *(_file(name, f"spec.model.{name}", model[name]) for name in named),
        ),
        inputs=_inputs(model),
        labels=tuple(model.get("labels") or ()),
        ranges=_ranges(model),
        tolerance=model.get("tolerance"),
        ca_bundle=_config_map_key(bundle) if bundle else None,
        credentials_secret=credentials["name"] if credentials else None,
    )


def _file(name: str, field: str, given: Fields) -> File:
    uri, sha256 = given.get("uri", ""), given.get("sha256", "")
    source = source_of(uri)
    if source is None:
        forms = " or ".join(row.form for row in SOURCES)
        raise InvalidSpecError(f"{field}.uri must be {forms}")
    if not SHA256.fullmatch(sha256):
        raise InvalidSpecError(f"{field}.sha256 must be 64 hex digits: sha256sum model.h5")
    return File(name=name, sha256=sha256.lower(), artifact=source.artifact(uri, f"/{name}"))


def _inputs(model: Fields) -> InputRange | str:
    bound, given = model.get("inputBound"), model.get("inputRange")
    if given is None:
        return INPUT_BOUND if bound is None else str(bound)
    if bound is not None:
        raise InvalidSpecError("give spec.model.inputBound or spec.model.inputRange, not both")
    if not given.keys() >= {"low", "high"}:
        raise InvalidSpecError("spec.model.inputRange must have low and high")
    return InputRange(low=given["low"], high=given["high"])


def _ranges(model: Fields) -> str:
    ranges: str = model.get("ranges", ModelSource.ranges)
    if ranges not in RANGES:
        raise InvalidSpecError(
            f"spec.model.ranges {ranges!r} is not known; {' and '.join(RANGES)} are"
        )
    return ranges


def _config_map_key(reference: Fields) -> ConfigMapKey:
    return ConfigMapKey(name=reference["name"], key=reference.get("key", "ca.crt"))


def _players(model: str, spec: Fields) -> tuple[Player, ...]:
    given = spec.get("players") or [{"name": role} for role in ROLES]
    names = [player.get("name", "") for player in given]
    if len(names) != len(ROLES) or len(set(names)) != len(ROLES):
        raise InvalidSpecError("spec.players must be three players with distinct names")
    for name in (model, *names):
        if not LABEL.fullmatch(name) or name == SHARE:
            raise InvalidSpecError(
                f"{name!r} is not a DNS label, or is reserved; "
                "use lower-case letters, digits and '-', beginning with a letter"
            )
    if max(len(model) + 1 + len(name) for name in names) > MAX_NAME:
        raise InvalidSpecError(
            f"metadata.name and a player's name are together longer than {MAX_NAME} characters"
        )
    return tuple(Player(name=name, role=role) for name, role in zip(names, ROLES, strict=True))


def _protocol(spec: Fields) -> str:
    protocol: str = spec.get("protocol", PROTOCOLS[0])
    if protocol not in PROTOCOLS:
        known = " and ".join(PROTOCOLS)
        raise InvalidSpecError(f"spec.protocol {protocol!r} is not known; {known} are")
    return protocol


def _batching(spec: Fields) -> Batching:
    batching = (spec.get("serving") or {}).get("batching") or {}
    for name, (least, most) in BATCHING_BOUNDS.items():
        value = batching.get(name, least)
        if not isinstance(value, int) or not least <= value <= most:
            raise InvalidSpecError(
                f"spec.serving.batching.{name} is {value!r}; "
                f"it must be a whole number from {least} to {most}"
            )
    return Batching(
        max_rows=batching.get("maxRows", Batching.max_rows),
        max_delay_ms=batching.get("maxDelayMs", Batching.max_delay_ms),
    )
