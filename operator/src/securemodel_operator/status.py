"""The whole status of a SecureModel."""

from __future__ import annotations

from datetime import datetime

from .conditions import assess, refused
from .names import TLS_PORT
from .objects import Object, stamp
from .ranges import ranges
from .seen import Seen, digest
from .spec.model import Player, SecureModel
from .state import State, States

# of what a player reports, what the status shows
SHOWN = ("reason", "digest", "generation", "epoch")


def status_of(sm: SecureModel, seen: Seen, ca: str, body: Object, now: datetime) -> Object:
    """The status of a SecureModel that is served, or on its way there; `ca`: PEM."""
    return {
        "ca": ca,
        "endpoints": [_endpoint(sm, player) for player in sm.players if player.serves_clients],
        "players": [_player(player, seen) for player in sm.players],
        "digest": digest(sm, seen),
        "ranges": _merged(ranges(seen), body),
        **_conditions(body, assess(sm, seen), now),
    }


def _merged(found: Object | None, body: Object) -> Object | None:
    """What is written is merged into what is there: a field that is gone is None once."""
    before = (body.get("status") or {}).get("ranges") or {}
    return None if found is None else dict.fromkeys(before) | found


def status_of_refused(why: State, body: Object, now: datetime) -> Object:
    """The status of one that nothing is made for. What was written before stays beside it."""
    return _conditions(body, refused(why), now)


def conditions_of(body: Object) -> list[Object]:
    """The conditions that were written last."""
    conditions: list[Object] = (body.get("status") or {}).get("conditions", [])
    return conditions


def _endpoint(sm: SecureModel, player: Player) -> Object:
    url = f"https://{sm.names.client_host(player.name)}:{TLS_PORT}"
    return {"player": player.name, "role": player.role, "url": url}


def _player(player: Player, seen: Seen) -> Object:
    """A player that does not answer leaves fields out."""
    report = seen.reports.get(player.name) or {}
    shown = {name: report[name] for name in SHOWN if report.get(name)}
    ready = bool(report.get("ready"))
    return {"name": player.name, "role": player.role, "ready": ready, **shown}


def _conditions(body: Object, states: States, now: datetime) -> Object:
    generation = body["metadata"]["generation"]
    conditions = merge(conditions_of(body), states, generation, stamp(now))
    return {"observedGeneration": generation, "conditions": conditions}


def merge(before: list[Object], states: States, generation: int, now: str) -> list[Object]:
    """The conditions to write: the time moves only when the status flips."""
    old = {condition["type"]: condition for condition in before}

    def since(condition: str, status: str) -> str:
        previous = old.get(condition, {})
        same = previous.get("status") == status
        return str(previous["lastTransitionTime"]) if same else now

    def merged(condition: str, state: State) -> Object:
        status = "True" if state.holds else "False"
        return {
            "type": condition,
            "status": status,
            "reason": str(state.reason),
            "message": state.message,
            "lastTransitionTime": since(condition, status),
            "observedGeneration": generation,
        }

    return [merged(str(condition), state) for condition, state in states.items()]
