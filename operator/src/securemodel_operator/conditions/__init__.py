"""The conditions of a SecureModel: a file each, a function (model, seen) -> State each."""

from __future__ import annotations

from securemodel_operator.reasons import Condition
from securemodel_operator.seen import Seen
from securemodel_operator.spec.model import SecureModel
from securemodel_operator.state import State, States

from . import accepted, model_shared, players_ready, ready, serving

CONDITIONS = {
    Condition.ACCEPTED: accepted.assess,
    Condition.PLAYERS_READY: players_ready.assess,
    Condition.MODEL_SHARED: model_shared.assess,
    Condition.SERVING: serving.assess,
}


def assess(sm: SecureModel, seen: Seen) -> States:
    """All conditions of a SecureModel that is not refused."""
    states = {condition: judge(sm, seen) for condition, judge in CONDITIONS.items()}
    return states | {Condition.READY: ready.assess(states)}


def refused(why: State) -> States:
    """All conditions of one that is: nothing is made for it."""
    return dict.fromkeys(Condition, why)
