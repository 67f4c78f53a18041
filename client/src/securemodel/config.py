"""The client config of a model: what the ConfigMap `<model>-client` holds (docs/client.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigError
from .wire import PROTOCOLS, ROLES

if TYPE_CHECKING:
    from collections.abc import Mapping

CA_KEY = "ca.crt"
CLIENT_KEY = "client.json"


@dataclass(frozen=True)
class PlayerAddress:
    """Where one data player is: `service` is its DNS name in the cluster and in its certificate, `pod` the pod to forward to."""

    service: str
    pod: str
    port: int


@dataclass(frozen=True)
class ClientConfig:
    """All that a client needs to know. `players`: by role, alice and bob. `digest`: of the program, hex, None while the model is not shared yet."""

    model: str
    namespace: str
    protocol: str
    digest: str | None
    players: Mapping[str, PlayerAddress]
    ca: str


def parse(data: Mapping[str, str], where: str) -> ClientConfig:
    """From the data of the ConfigMap; `where` names it in errors. Raises ConfigError."""
    for key in (CA_KEY, CLIENT_KEY):
        if key not in data:
            raise ConfigError(f"{where} has no {key}; it should be the ConfigMap <model>-client that the operator keeps")
    try:
        said = json.loads(data[CLIENT_KEY])
        players = {str(player["role"]): _player(player) for player in said["players"].values()}
        config = ClientConfig(
            model=str(said["model"]),
            namespace=str(said["namespace"]),
            protocol=str(said["protocol"]),
            digest=str(said["digest"]) if said.get("digest") else None,
            players=players,
            ca=data[CA_KEY],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ConfigError(f"{where}: {CLIENT_KEY} is not a client config ({e!r}); client and operator are of different versions") from e
    if set(players) != set(ROLES):
        raise ConfigError(f"{where}: {CLIENT_KEY} has players for {', '.join(sorted(players)) or 'nobody'}, expected alice and bob")
    if config.protocol not in PROTOCOLS:
        raise ConfigError(f"{where}: protocol {config.protocol!r}, this client speaks {', '.join(PROTOCOLS)}; update the client")
    return config


def load(folder: str | Path) -> ClientConfig:
    """From a folder: the ConfigMap as a pod mounts it. Raises ConfigError."""
    folder = Path(folder)
    try:
        data = {key: (folder / key).read_text(encoding="utf-8") for key in (CA_KEY, CLIENT_KEY)}
    except (OSError, ValueError) as e:
        raise ConfigError(f"no client config in {folder}: {e}; mount the ConfigMap <model>-client there") from e
    return parse(data, str(folder))


def _player(said: Mapping[str, Any]) -> PlayerAddress:
    return PlayerAddress(service=str(said["service"]), pod=str(said["pod"]), port=int(said["port"]))
