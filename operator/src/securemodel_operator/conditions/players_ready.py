"""PlayersReady: all three pods are running."""

from __future__ import annotations

from securemodel_operator.reasons import Reason
from securemodel_operator.seen import Seen, pods_of_player
from securemodel_operator.spec.model import SecureModel
from securemodel_operator.state import State, fails, holds

from .pods import waits_for


def assess(sm: SecureModel, seen: Seen) -> State:
    if seen.refused:
        told = f"the API server refuses an object of this model: {seen.refused}"
        return fails(Reason.APPLY_FAILED, told)

    pods = {player.name: pods_of_player(seen, player.name) for player in sm.hosted}
    waiting = [f"{name}: {why}" for name, own in pods.items() if (why := waits_for(own))]
    if waiting:
        return fails(Reason.PLAYERS_STARTING, "; ".join(waiting))
    return holds(Reason.PLAYERS_READY, "all three players are running")
