"""A SecureModel: what the user asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from securemodel_operator.names import DATA_ROLES, GROUP, KIND, TLS_PORT, VERSION, Names, Seat

from .sources import Artifact, ConfigMapKey

# spec.model names files: itself, and these of its fields
MODEL, ARCHITECTURE, CALIBRATION = "model", "architecture", "calibration"
# what players are asked for without spec.model.inputBound and inputRange; the CRD has no default,
# which would stand beside an inputRange
INPUT_BOUND = "1.0"


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that spec.model names; `artifact` is how the share Job comes by it."""

    name: str
    sha256: str
    artifact: Artifact

    @property
    def field(self) -> str:
        """Of the spec: it has the file's uri and sha256."""
        return "spec.model" if self.name == MODEL else f"spec.model.{self.name}"


@dataclass(frozen=True, kw_only=True)
class InputRange:
    """The smallest and the largest value that an input may have, decimal numbers."""

    low: str
    high: str


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """spec.model. `files`: the model first, then what else is named. `inputs`: a range, or the
    largest absolute value.
    """

    files: tuple[File, ...]
    inputs: InputRange | str = INPUT_BOUND
    labels: tuple[str, ...] = ()
    ranges: str = "Calibrated"
    tolerance: str | None = None
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
