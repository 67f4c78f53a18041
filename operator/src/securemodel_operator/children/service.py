"""Services: stable names for players, and the way in for clients."""

from __future__ import annotations

from securemodel_operator.names import (
    COMPONENT_LABEL,
    HEALTH_PORT,
    MODEL_LABEL,
    PLAYER_LABEL,
    TLS_PORT,
)
from securemodel_operator.objects import Object
from securemodel_operator.spec.model import Player, SecureModel

from .child import Child, Materials


def headless(sm: SecureModel) -> Child:
    """Stable names.

    They resolve before a player is ready: players become ready by finding each other.
    """

    def content(_: Materials) -> Object:
        spec = {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {MODEL_LABEL: sm.name, COMPONENT_LABEL: "player"},
            "ports": [_port("tls", TLS_PORT), _port("health", HEALTH_PORT)],
        }
        return {"spec": spec}

    name = sm.names.headless_service()
    return Child(kind="Service", name=name, component="player", content=content)


def for_clients(sm: SecureModel, player: Player) -> Child:
    """Where clients inside the cluster reach a player."""

    def content(_: Materials) -> Object:
        spec = {
            "type": "ClusterIP",
            "selector": {MODEL_LABEL: sm.name, PLAYER_LABEL: player.name},
            "ports": [_port("tls", TLS_PORT)],
        }
        return {"spec": spec}

    name = sm.names.client_service(player.name)
    return Child(kind="Service", name=name, component="player", player=player.name, content=content)


def _port(name: str, number: int) -> Object:
    return {"name": name, "port": number, "targetPort": number, "protocol": "TCP"}
