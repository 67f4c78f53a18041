"""Snapshot in, plan out. Pure: no clock, no randomness, no client."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from . import builders
from .attempts import attempt_of, next_attempt
from .certificates import Certificates
from .drift import covers
from .objects import Key, Object, key
from .seen import Snapshot, digest
from .settings import Settings
from .spec.model import SecureModel

# what the API server refuses to change
CLAIM_FIELDS = ("accessModes", "resources", "storageClassName")
SET_FIELDS = ("podManagementPolicy", "selector", "serviceName", "volumeClaimTemplates")


@dataclass(frozen=True)
class Plan:
    """Objects to apply (server-side), then to create once, then to delete."""

    apply: list[Object] = field(default_factory=list)
    create: list[Object] = field(default_factory=list)
    delete: list[Key] = field(default_factory=list)


def plan(
    sm: SecureModel,
    snapshot: Snapshot,
    certificates: Certificates,
    settings: Settings,
    now: datetime,
) -> Plan:
    """What to change so that the cluster is as the spec says."""
    wanted = [
        builders.cluster_config(sm),
        builders.client_config(sm, certificates.ca, digest(sm, snapshot)),
        builders.headless_service(sm),
    ]
    for player in sm.players:
        if player.serves_clients:
            wanted.append(builders.client_service(sm, player))
        wanted.append(_as_made(snapshot, builders.claim(sm, player, settings), CLAIM_FIELDS))
        wanted.append(
            _as_made(
                snapshot,
                builders.stateful_set(sm, player, certificates.leaves[player.name], settings),
                SET_FIELDS,
            )
        )
    apply = [obj for obj in wanted if not covers(snapshot.live.get(key(obj)), obj)]
    jobs = sorted(snapshot.jobs, key=attempt_of)
    create = []
    if (
        snapshot.missing_reference is None
        and (attempt := next_attempt(sm, snapshot, now)) is not None
    ):
        create.append(builders.share_job(sm, attempt, settings))
    return Plan(apply, create, [key(job) for job in jobs[:-1]])


def _as_made(snapshot: Snapshot, wanted: Object, fields: tuple[str, ...]) -> Object:
    """With the fields that cannot be changed as they were made.

    Other settings are for new objects.
    """
    live = snapshot.live.get(key(wanted))
    if live is None:
        return wanted
    spec = {name: value for name, value in wanted["spec"].items() if name not in fields}
    return {
        **wanted,
        "spec": spec
        | {name: live["spec"][name] for name in fields if name in live.get("spec", {})},
    }
