"""What belongs to a SecureModel: the only list.

A pass reads the objects of these names, refuses the SecureModel if one of them is not ours, and
applies these manifests: what is not in the list is not applied. Attempts of the share step are made
once and have names of their own (share_job.py).
"""

from __future__ import annotations

from securemodel_operator.spec.model import Player, SecureModel

from . import certificate, config, player, service
from .child import Child


def children(sm: SecureModel) -> list[Child]:
    """All children, in the order in which they are applied.

    Certificates come first: nothing is started with one that is not kept.
    """
    return [
        certificate.of_ca(sm),
        *certificate.of_holders(sm),
        config.cluster(sm),
        config.client(sm),
        service.headless(sm),
        *(child for one in sm.hosted for child in _of_player(sm, one)),
    ]


def _of_player(sm: SecureModel, one: Player) -> list[Child]:
    clients = [service.for_clients(sm, one)] if one.serves_clients else []
    return [*clients, player.claim(sm, one), player.stateful_set(sm, one)]
