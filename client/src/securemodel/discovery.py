"""Finding a model's players: from a mounted client config, from inside a pod, or from outside by kubeconfig."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from . import config
from .channel import tcp
from .errors import ConfigError
from .model import Model

if TYPE_CHECKING:
    from collections.abc import Callable

    from .channel import Endpoint
    from .config import ClientConfig, PlayerAddress

CONFIG_DIR = "SECUREMODEL_CONFIG_DIR"
_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def connect(name: str | None = None, namespace: str | None = None, *, config_dir: str | Path | None = None, context: str | None = None) -> Model:
    """A model by its name, wherever this runs.

    The first of these that applies:

    1. `config_dir`, or the environment variable SECUREMODEL_CONFIG_DIR: the ConfigMap `<model>-client` as a folder; players by their DNS names. No API access; `name` is optional.
    2. In a pod (and no KUBECONFIG set): the ConfigMap through the pod's service account; players by their DNS names.
    3. Elsewhere: the kubeconfig's current context, or `context`; players by port-forwarding to their pods.

    namespace: default is the one of the context or of the pod. Raises ConfigError, ModelNotFound. No player is asked yet.
    """
    folder = config_dir or (os.environ.get(CONFIG_DIR) if context is None else None)
    if folder:
        return _from_folder(folder, name, namespace)
    if name is None:
        raise ConfigError(f"which model? give its name, or a client config by config_dir or {CONFIG_DIR}")
    from . import kube  # noqa: PLC0415 - the Kubernetes client takes most of a second to import, and the first way does without it

    inside = context is None and not os.environ.get("KUBECONFIG") and bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and _TOKEN.exists()
    cluster = kube.Cluster.from_pod() if inside else kube.Cluster.from_kubeconfig(context)
    namespace = namespace or cluster.namespace
    data = cluster.config_map(f"{name}-client", namespace)
    if data is None:
        raise kube.missing(cluster, name, namespace)
    found = config.parse(data, f"ConfigMap {namespace}/{name}-client")
    _check(found, name, namespace, f"ConfigMap {namespace}/{name}-client")
    if inside:
        return _model(found, _direct)
    return _model(found, lambda player: cluster.pod_endpoint(namespace, player.pod, player.port, player.service))


def _from_folder(folder: str | Path, name: str | None, namespace: str | None) -> Model:
    found = config.load(folder)
    _check(found, name, namespace, str(folder))
    return _model(found, _direct)


def _direct(player: PlayerAddress) -> Endpoint:
    return tcp(player.service, player.port)


def _model(found: ClientConfig, endpoint: Callable[[PlayerAddress], Endpoint]) -> Model:
    endpoints = {role: endpoint(player) for role, player in found.players.items()}
    return Model(endpoints=endpoints, ca=found.ca, model=found.model, namespace=found.namespace, digest=found.digest)


def _check(found: ClientConfig, name: str | None, namespace: str | None, where: str) -> None:
    if name not in (None, found.model) or namespace not in (None, found.namespace):
        raise ConfigError(f"{where} is the client config of {found.namespace}/{found.model}, asked was {namespace or found.namespace}/{name}; mount the other one")
