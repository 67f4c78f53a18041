"""Serving: the players are linked and hold the same shares."""

from __future__ import annotations

from securemodel_operator.reasons import Reason, reported
from securemodel_operator.seen import Seen
from securemodel_operator.spec.model import SecureModel
from securemodel_operator.state import State, fails, holds


def assess(sm: SecureModel, seen: Seen) -> State:
    silent = [player.name for player in sm.players if not seen.reports.get(player.name)]
    if silent:
        why = f"{' and '.join(silent)} did not answer on the health port yet"
        return fails(Reason.NOT_REACHABLE, why)

    # one without shares comes first: it is the cause of what the others say of it
    for player in sorted(sm.players, key=lambda one: bool(seen.reports[one.name].get("digest"))):
        report = seen.reports[player.name]
        if not report.get("ready"):
            said = f"{player.name}: {report.get('message', 'not ready')}"
            reason = report.get("reason")
            otherwise = Reason.NOT_REACHABLE
            return fails(*reported(reason, said, image="player", otherwise=otherwise))
    return holds(Reason.SERVING, "the three players are linked and hold the same shares")
