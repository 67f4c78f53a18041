"""All names that the operator gives, in one place."""

from __future__ import annotations

GROUP = "securemodel.dev"
VERSION = "v1alpha1"
PLURAL = "securemodels"
KIND = "SecureModel"

MODEL_LABEL = f"{GROUP}/model"
PLAYER_LABEL = f"{GROUP}/player"
COMPONENT_LABEL = "app.kubernetes.io/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "securemodel-operator"

ATTEMPT_ANNOTATION = f"{GROUP}/attempt"
CERTIFICATE_ANNOTATION = f"{GROUP}/certificate"

ROLES = ("alice", "bob", "carol")
DATA_ROLES = ("alice", "bob")
TLS_PORT = 8443
HEALTH_PORT = 8080


def labels(model: str, component: str, player: str | None = None) -> dict[str, str]:
    found = {MODEL_LABEL: model, COMPONENT_LABEL: component, MANAGED_BY_LABEL: MANAGER}
    return found | ({PLAYER_LABEL: player} if player else {})


def ca_secret(model: str) -> str:
    return f"{model}-ca"


def tls_secret(model: str, holder: str) -> str:
    """`holder`: a player's name, or share."""
    return f"{model}-{holder}-tls"


def cluster_config(model: str) -> str:
    return f"{model}-cluster"


def client_config(model: str) -> str:
    return f"{model}-client"


def headless_service(model: str) -> str:
    return model


def client_service(model: str, player: str) -> str:
    return f"{model}-{player}"


def stateful_set(model: str, player: str) -> str:
    return f"{model}-{player}"


def pod(model: str, player: str) -> str:
    return f"{model}-{player}-0"


def claim(model: str, player: str) -> str:
    """The name that a StatefulSet gives the claim of its template `data`."""
    return f"data-{model}-{player}-0"


def share_job(model: str, key: str) -> str:
    return f"{model}-share-{key}"


def player_host(model: str, player: str, namespace: str) -> str:
    """A player's stable DNS name."""
    return f"{pod(model, player)}.{headless_service(model)}.{namespace}.svc"


def client_host(model: str, player: str, namespace: str) -> str:
    return f"{client_service(model, player)}.{namespace}.svc"
