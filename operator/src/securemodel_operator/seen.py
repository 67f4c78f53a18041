"""What a pass has seen, and what the players say alike."""

from __future__ import annotations

from dataclasses import dataclass, field

from .names import JOB_LABEL, PLAYER_LABEL
from .objects import Key, Object
from .spec.model import SecureModel
from .state import State


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What there is, for one SecureModel.

    live: the objects that have the names of its children.
    jobs, pods: its own.
    reports: what each player that answers says of itself, by name.
    missing: what the spec refers to and is not there.
    known_digest: the one in the status, set once all three players had shares.
    known_ranges: those in the status.
    refused: what the API server said to an object of ours in this pass.
    """

    live: dict[Key, Object] = field(default_factory=dict)
    jobs: list[Object] = field(default_factory=list)
    pods: list[Object] = field(default_factory=list)
    reports: dict[str, Object] = field(default_factory=dict)
    missing: State | None = None
    known_digest: str | None = None
    known_ranges: Object | None = None
    refused: str | None = None


def agreed(sm: SecureModel, seen: Seen, what: str) -> str | None:
    """What all three players report alike (digest, generation); None if they do not."""
    reported = {(seen.reports.get(player.name) or {}).get(what) for player in sm.players}
    only = reported.pop() if len(reported) == 1 else None
    return str(only) if only else None


def digest(sm: SecureModel, seen: Seen) -> str | None:
    """Of the program that all three players accepted; a restart does not make it unknown."""
    return agreed(sm, seen, "digest") or seen.known_digest


def everybody_answers(sm: SecureModel, seen: Seen) -> bool:
    return all(seen.reports.get(player.name) for player in sm.players)


def pods_of_player(seen: Seen, player: str) -> list[Object]:
    return _labelled(seen.pods, PLAYER_LABEL, player)


def pods_of_job(seen: Seen, job: Object) -> list[Object]:
    return _labelled(seen.pods, JOB_LABEL, job["metadata"]["name"])


def _labelled(pods: list[Object], label: str, value: str) -> list[Object]:
    return [pod for pod in pods if pod["metadata"].get("labels", {}).get(label) == value]
