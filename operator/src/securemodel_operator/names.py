"""Every name that the operator gives: of objects, hosts, certificates and labels.

A StatefulSet names its pods and claims itself; `Names` says what they will be called.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

GROUP = "securemodel.dev"
VERSION = "v1alpha1"
PLURAL = "securemodels"
KIND = "SecureModel"

MODEL_LABEL = f"{GROUP}/model"
PLAYER_LABEL = f"{GROUP}/player"
JOB_LABEL = "batch.kubernetes.io/job-name"
COMPONENT_LABEL = "app.kubernetes.io/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "securemodel-operator"

# whose log kubectl shows
CONTAINER_ANNOTATION = "kubectl.kubernetes.io/default-container"
ATTEMPT_ANNOTATION = f"{GROUP}/attempt"
CERTIFICATE_ANNOTATION = f"{GROUP}/certificate"

ROLES = ("alice", "bob", "carol")
DATA_ROLES = ("alice", "bob")
# who delivers the shares: no player may be called so
SHARE = "share"
# who opens the model file before, in the same pod
COMPILE = "compile"
TLS_PORT = 8443
HEALTH_PORT = 8080


@dataclass(frozen=True)
class Seat:
    """A place in the computation: a player's name, and which of its replicas sits there."""

    player: str
    ordinal: int = 0


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whom a certificate is for.

    `hosts` and `addresses` are where it answers; one without any is a client only.
    """

    common_name: str
    uri: str
    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of one SecureModel."""

    namespace: str
    model: str

    def labels(self, component: str, player: str | None = None) -> dict[str, str]:
        labels = {MODEL_LABEL: self.model, COMPONENT_LABEL: component, MANAGED_BY_LABEL: MANAGER}
        return labels | ({PLAYER_LABEL: player} if player else {})

    def ca_secret(self) -> str:
        return f"{self.model}-ca"

    def tls_secret(self, holder: str) -> str:
        """`holder`: a player's name, or share."""
        return f"{self.model}-{holder}-tls"

    def cluster_config(self) -> str:
        return f"{self.model}-cluster"

    def client_config(self) -> str:
        return f"{self.model}-client"

    def headless_service(self) -> str:
        return self.model

    def client_service(self, player: str) -> str:
        return f"{self.model}-{player}"

    def stateful_set(self, player: str) -> str:
        return f"{self.model}-{player}"

    def pod(self, seat: Seat) -> str:
        return f"{self.stateful_set(seat.player)}-{seat.ordinal}"

    def claim(self, seat: Seat) -> str:
        """The name that a StatefulSet gives the claim of its template `data`."""
        return f"data-{self.pod(seat)}"

    def share_job(self, key: str) -> str:
        return f"{self.model}-{SHARE}-{key}"

    def seat_host(self, seat: Seat) -> str:
        """A seat's stable DNS name."""
        return f"{self.pod(seat)}.{self.headless_service()}.{self.namespace}.svc"

    def client_host(self, player: str) -> str:
        """Where clients inside the cluster reach a player."""
        return f"{self.client_service(player)}.{self.namespace}.svc"

    def authority(self) -> str:
        """The common name of the CA."""
        return f"{self.namespace}/{self.model} CA"

    def share_subject(self) -> Subject:
        """The share step: it delivers, and nothing else."""
        return self._subject(SHARE)

    def seat_subject(self, seat: Seat, role: str) -> Subject:
        """A player, who answers and asks."""
        hosts = (self.seat_host(seat), self.client_host(seat.player))
        everywhere = tuple(host + end for host in hosts for end in ("", ".cluster.local"))
        return replace(
            self._subject(role), hosts=(*everywhere, "localhost"), addresses=("127.0.0.1",)
        )

    def _subject(self, role: str) -> Subject:
        model = f"{self.namespace}/{self.model}"
        return Subject(common_name=f"{model} {role}", uri=f"securemodel://{model}/{role}")
