"""Serving: the players are linked and hold the same shares."""

from __future__ import annotations

from securemodel_operator.reasons import Condition, Reason, reported
from securemodel_operator.seen import Snapshot
from securemodel_operator.spec.model import SecureModel

from .state import State


def serving(sm: SecureModel, snapshot: Snapshot) -> State:
    silent = [player.name for player in sm.players if not snapshot.players.get(player.name)]
    if silent:
        return State(
            Condition.SERVING,
            False,
            Reason.NOT_REACHABLE,
            f"{' and '.join(silent)} did not answer on the health port yet",
        )
    for player in sm.players:
        report = snapshot.players[player.name]
        if not report.get("ready"):
            said = f"{player.name}: {report.get('message', 'not ready')}"
            told = reported(report.get("reason"), said, "player", Reason.NOT_REACHABLE)
            return State(Condition.SERVING, False, *told)
    return State(
        Condition.SERVING,
        True,
        Reason.SERVING,
        "the three players are linked and hold the same shares",
    )
