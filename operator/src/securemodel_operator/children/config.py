"""ConfigMaps: who the players are, for the players themselves and for clients."""

from __future__ import annotations

import json

from securemodel_operator import names
from securemodel_operator.objects import Object
from securemodel_operator.spec.model import Player, SecureModel

from .child import Child, Materials


def cluster(sm: SecureModel) -> Child:
    """TF Encrypted's RemoteConfig form: player -> host:port, in the order of the roles."""

    def content(_: Materials) -> Object:
        hosts = {player.name: sm.address(player) for player in sm.players}
        return {"data": {"cluster.json": _json(hosts)}}

    name = sm.names.cluster_config()
    return Child(kind="ConfigMap", name=name, component="cluster", content=content)


def client(sm: SecureModel) -> Child:
    """What a client needs: who the players are and the CA that they are verified with."""

    def content(materials: Materials) -> Object:
        described = {
            "model": sm.name,
            "namespace": sm.namespace,
            "protocol": sm.protocol,
            "digest": materials.digest,
            "players": {p.name: _for_client(sm, p) for p in sm.players if p.serves_clients},
        }
        ca = materials.certificates.ca.certificate
        return {"data": {"ca.crt": ca, "client.json": _json(described)}}

    name = sm.names.client_config()
    return Child(kind="ConfigMap", name=name, component="client", content=content)


def _for_client(sm: SecureModel, player: Player) -> Object:
    return {
        "role": player.role,
        "service": sm.names.client_host(player.name),
        "pod": sm.names.pod(player.seat),
        "port": names.TLS_PORT,
    }


def _json(value: Object) -> str:
    return json.dumps(value, indent=2) + "\n"
