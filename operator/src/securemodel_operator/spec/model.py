"""A SecureModel: what the user asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from securemodel_operator.names import DATA_ROLES, GROUP, KIND, TLS_PORT, VERSION, Names, Seat

from .sources import Artifact, ConfigMapKey


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """spec.model; `artifact` is how the share Job comes by what `uri` names."""

    uri: str
    sha256: str
    artifact: Artifact
    input_bound: str = "1.0"
    ca_bundle: ConfigMapKey | None = None
    credentials_secret: str | None = None


@dataclass(frozen=True, kw_only=True)
class Batching:
    """spec.serving.batching: how players join waiting requests into one batch."""

    max_rows: int = 256
    max_delay_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class Player:
    """One of the three."""

    name: str
    role: str

    @property
    def seat(self) -> Seat:
        """Where this player sits; replicas will be further seats."""
        return Seat(self.name)

    @property
    def serves_clients(self) -> bool:
        return self.role in DATA_ROLES


@dataclass(frozen=True, kw_only=True)
class SecureModel:
    namespace: str
    name: str
    uid: str
    generation: int
    model: ModelSource
    protocol: str
    players: tuple[Player, ...]
    batching: Batching = Batching()

    @property
    def names(self) -> Names:
        return Names(namespace=self.namespace, model=self.name)

    @property
    def hosted(self) -> tuple[Player, ...]:
        """The players that are run here, and so have children and a pod: all of them so far."""
        return self.players

    def address(self, player: Player) -> str:
        """host:port where the other players and the share step reach a player."""
        return f"{self.names.seat_host(player.seat)}:{TLS_PORT}"

    @property
    def owner(self) -> dict[str, Any]:
        """The owner reference of every child.

        It does not block: deleting works with the operator stopped.
        """
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
