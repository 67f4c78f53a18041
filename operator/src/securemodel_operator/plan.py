"""What was seen in, what to change out. Pure: no clock, no randomness, no client."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from .attempts import attempt_of, next_attempt
from .certificates import Certificates
from .children import children
from .children.child import Materials
from .children.share_job import share_job
from .drift import covers
from .objects import Key, Object, key
from .seen import Seen, digest
from .settings import Settings
from .spec.model import SecureModel


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Objects to apply (server-side), then to create once, then to delete."""

    apply: list[Object] = field(default_factory=list)
    create: list[Object] = field(default_factory=list)
    delete: list[Key] = field(default_factory=list)


def plan(
    sm: SecureModel,
    seen: Seen,
    certificates: Certificates,
    settings: Settings,
    now: datetime,
) -> Plan:
    """What to change so that the cluster is as the spec says."""
    materials = Materials(settings=settings, certificates=certificates, digest=digest(sm, seen))
    return Plan(
        apply=_drifted(sm, seen, materials),
        create=_next_job(sm, seen, materials, now),
        delete=_old_jobs(seen),
    )


def _drifted(sm: SecureModel, seen: Seen, materials: Materials) -> list[Object]:
    drifted = []
    for child in children(sm):
        live = seen.live.get(child.key)
        wanted = child.manifest(sm, materials, live)
        if not covers(live, wanted):
            drifted.append(wanted)
    return drifted


def _next_job(sm: SecureModel, seen: Seen, materials: Materials, now: datetime) -> list[Object]:
    if seen.missing:
        return []
    attempt = next_attempt(sm, seen, now)
    return [] if attempt is None else [share_job(sm, attempt, materials)]


def _old_jobs(seen: Seen) -> list[Key]:
    """All but the last."""
    return [key(job) for job in sorted(seen.jobs, key=attempt_of)[:-1]]
