"""What was seen at the start of a pass, and what the players say alike."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import names
from .objects import Key, Object
from .reasons import Reason
from .spec.model import SecureModel


@dataclass(frozen=True)
class Snapshot:
    """What there is.

    Children and wanted names by (kind, name), Jobs and Pods of this model, what each player says of
    itself, and the references of the spec.
    """

    live: dict[Key, Object] = field(default_factory=dict)
    jobs: list[Object] = field(default_factory=list)
    pods: list[Object] = field(default_factory=list)
    players: dict[str, Object] = field(default_factory=dict)
    missing_reference: tuple[Reason, str] | None = None
    # the digest in the status: set once all three players had shares
    known_digest: str | None = None


def agreed(sm: SecureModel, snapshot: Snapshot, what: str) -> str | None:
    """What all three players report alike (digest, generation); None if they do not."""
    reported = {(snapshot.players.get(player.name) or {}).get(what) for player in sm.players}
    only = reported.pop() if len(reported) == 1 else None
    return str(only) if only else None


def digest(sm: SecureModel, snapshot: Snapshot) -> str | None:
    """Of the program that all three players accepted; a restart does not make it unknown."""
    return agreed(sm, snapshot, "digest") or snapshot.known_digest


def pods_of(snapshot: Snapshot, component: str, name: str) -> list[Object]:
    label = names.JOB_LABEL if component == "share" else names.PLAYER_LABEL
    return [pod for pod in snapshot.pods if pod["metadata"].get("labels", {}).get(label) == name]
