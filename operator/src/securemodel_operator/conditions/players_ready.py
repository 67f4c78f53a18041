"""PlayersReady: all three pods are running."""

from __future__ import annotations

from securemodel_operator.reasons import Condition, Reason
from securemodel_operator.seen import Snapshot, pods_of
from securemodel_operator.spec.model import SecureModel

from .pods import waits_for
from .state import State


def players_ready(sm: SecureModel, snapshot: Snapshot) -> State:
    waiting = {
        player.name: why
        for player in sm.players
        if (why := waits_for(pods_of(snapshot, "player", player.name)))
    }
    if not waiting:
        return State(
            Condition.PLAYERS_READY, True, Reason.PLAYERS_READY, "all three players are running"
        )
    message = "; ".join(f"{name}: {why}" for name, why in waiting.items())
    return State(Condition.PLAYERS_READY, False, Reason.PLAYERS_STARTING, message)
