"""Finds the players of a SecureModel.

From outside the cluster with a kubeconfig, inside it by DNS, or by a mounted configuration.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import ModelNotFoundError, SecureModelError
from .model import DATA_ROLES, Model
from .player import Endpoint

CONNECT_S = 5.0
CONFIG_VARIABLE = "SECUREMODEL_CONFIG_DIR"


def connect(
    name: str,
    namespace: str = "default",
    *,
    config: str | Path | None = None,
    context: str | None = None,
) -> Model:
    """Connects to a SecureModel.

    Args:
        name, namespace: the SecureModel's.
        config: a folder with the keys of the ConfigMap `<name>-client`, mounted into a pod;
            by default the folder that the variable SECUREMODEL_CONFIG_DIR names. With it, no
            access to the API is needed.
        context: a context of the kubeconfig, if not its current one.

    Raises:
        ModelNotFoundError: there is no such SecureModel, or it has not come far enough.
        SecureModelError: the cluster cannot be asked.
    """
    folder = config or os.environ.get(CONFIG_VARIABLE)
    if folder:
        read: Callable[[str], str] = lambda key: (Path(folder) / key).read_text()  # noqa: E731
        try:
            client, ca = json.loads(read("client.json")), read("ca.crt")
        except OSError as error:
            raise ModelNotFoundError(
                f"{folder} has no client.json and ca.crt: mount the ConfigMap {name}-client there"
            ) from error
        return _model(client, ca, _direct)
    return _from_cluster(name, namespace, context)


def endpoint(name: str, role: str, url: str) -> Endpoint:
    """A player at https://host:port, reached directly."""
    host, _, port = url.removeprefix("https://").rstrip("/").rpartition(":")
    if not url.startswith("https://") or not port.isdigit():
        raise SecureModelError(f"{name}'s endpoint {url!r} is not https://host:port")
    return Endpoint(
        name, role, host, lambda: socket.create_connection((host, int(port)), CONNECT_S)
    )


def _from_cluster(name: str, namespace: str, context: str | None) -> Model:
    # takes a second, and is not needed for a mounted configuration
    from kubernetes import client  # noqa: PLC0415

    inside = (
        context is None
        and "KUBERNETES_SERVICE_HOST" in os.environ
        and "KUBECONFIG" not in os.environ
    )
    _configure(name, context, inside=inside)
    api = client.CoreV1Api()
    found = _client_config(api, name, namespace)
    dialer = _direct if inside else _forwarded(api, namespace)
    return _model(json.loads(found["client.json"]), found["ca.crt"], dialer)


def _configure(name: str, context: str | None, *, inside: bool) -> None:
    """Prepares the Kubernetes client: by the pod's service account, or by the kubeconfig."""
    from kubernetes import config  # noqa: PLC0415

    try:
        if inside:
            config.load_incluster_config()
        else:
            config.load_kube_config(context=context)
    except config.ConfigException as error:
        raise SecureModelError(
            f"no usable kubeconfig: {error}; set KUBECONFIG, "
            f"or mount the ConfigMap {name}-client and set {CONFIG_VARIABLE}"
        ) from error


def _client_config(api: Any, name: str, namespace: str) -> dict[str, str]:
    """The data of the ConfigMap `<name>-client`."""
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415

    try:
        found = api.read_namespaced_config_map(
            f"{name}-client", namespace, _request_timeout=CONNECT_S
        )
    except ApiException as error:
        if error.status == 404:  # noqa: PLR2004
            raise ModelNotFoundError(
                f"there is no SecureModel {name!r} in namespace {namespace!r} "
                f"(ConfigMap {name}-client not found); look at: kubectl get securemodels -A"
            ) from None
        raise SecureModelError(
            f"the cluster refuses to show ConfigMap {namespace}/{name}-client: {error.reason}"
        ) from None
    except Exception as error:
        raise SecureModelError(f"the cluster cannot be reached: {error}") from error

    data: dict[str, str] = found.data or {}
    if not {"client.json", "ca.crt"} <= set(data):
        raise ModelNotFoundError(
            f"ConfigMap {namespace}/{name}-client holds no client configuration; "
            "is it the operator's?"
        )
    return data


Dialer = Callable[[dict[str, Any]], Callable[[], socket.socket]]


def _model(client: dict[str, Any], ca: str, dialer: Dialer) -> Model:
    by_role = {entry["role"]: (name, entry) for name, entry in client["players"].items()}
    endpoints = {}
    for role in DATA_ROLES:
        name, entry = by_role[role]
        endpoints[role] = Endpoint(name, role, entry["service"], dialer(entry))
    return Model(endpoints, ca, client["model"], client["namespace"], client.get("digest") or None)


def _direct(entry: dict[str, Any]) -> Callable[[], socket.socket]:
    return lambda: socket.create_connection((entry["service"], entry["port"]), CONNECT_S)


def _forwarded(api: Any, namespace: str) -> Dialer:
    """Port-forwards through the API server, which sees TLS only."""
    from kubernetes import client  # noqa: PLC0415
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415
    from kubernetes.stream import portforward  # noqa: PLC0415

    def dialer(entry: dict[str, Any]) -> Callable[[], socket.socket]:
        def dial() -> socket.socket:
            port = int(entry["port"])
            # a client of its own: port-forwarding replaces the request method of the client it gets
            own = client.CoreV1Api(client.ApiClient(api.api_client.configuration))
            try:
                forward = portforward(
                    own.connect_get_namespaced_pod_portforward,
                    entry["pod"],
                    namespace,
                    ports=str(port),
                )
                stream = forward.socket(port)
            except ApiException as error:
                raise ConnectionError(
                    f"cannot forward a port to pod {namespace}/{entry['pod']}: {error.reason}"
                ) from None
            # ssl needs a socket of its own; the forwarder ends when its end of the pair is closed
            return socket.socket(fileno=stream.detach())

        return dial

    return dialer
