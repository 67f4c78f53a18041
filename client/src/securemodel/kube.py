"""The Kubernetes API, as far as a client needs it: one ConfigMap, and a byte stream to a pod's port. The only module that imports `kubernetes`."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3
import websocket
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from kubernetes.stream.ws_client import PortForward, create_websocket, get_websocket_url

from .channel import Endpoint
from .errors import ConfigError, ModelNotFound

if TYPE_CHECKING:
    import socket

_SECONDS = 10
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
# websocket-client takes the time limit of a handshake from a global only
_DIALING = threading.Lock()


class Cluster:
    """A connection to an API server, by kubeconfig or from inside a pod."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self._api = api
        self.namespace = namespace

    @classmethod
    def from_kubeconfig(cls, context: str | None = None) -> Cluster:
        """The current context of KUBECONFIG or ~/.kube/config, or the named one. Raises ConfigError."""
        try:
            _, active = config.list_kube_config_contexts()
            if context is not None:
                active = next((c for c in config.list_kube_config_contexts()[0] if c["name"] == context), None)
            api = config.new_client_from_config(context=context)
        except (ConfigException, OSError, ValueError) as e:
            where = os.environ.get("KUBECONFIG", "~/.kube/config")
            raise ConfigError(f"no usable kubeconfig at {where}: {e}; set KUBECONFIG, or pass the client config (docs/client.md)") from e
        namespace = (active or {}).get("context", {}).get("namespace")
        return cls(api, namespace or "default")

    @classmethod
    def from_pod(cls) -> Cluster:
        """The pod's service account. Raises ConfigError."""
        configuration = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)
        except ConfigException as e:
            raise ConfigError(f"this pod has no service account token: {e}; mount the ConfigMap <model>-client and set SECUREMODEL_CONFIG_DIR (docs/client.md)") from e
        namespace = _NAMESPACE.read_text(encoding="utf-8").strip() if _NAMESPACE.exists() else "default"
        return cls(client.ApiClient(configuration), namespace)

    def config_map(self, name: str, namespace: str) -> dict[str, str] | None:
        """The data of a ConfigMap, None if there is none. Raises ConfigError."""
        try:
            found = client.CoreV1Api(self._api).read_namespaced_config_map(name, namespace, _request_timeout=_SECONDS)
        except client.ApiException as e:
            if e.status == 404:  # noqa: PLR2004
                return None
            raise ConfigError(f"the API server at {self._host} refuses ConfigMap {namespace}/{name}: {e.status} {e.reason}; {_may('get', 'configmaps')}") from e
        except (urllib3.exceptions.HTTPError, OSError) as e:
            raise ConfigError(f"the API server at {self._host} cannot be reached: {_root(e)}; check the kubeconfig's current context") from e
        return dict(found.data or {})

    def model_exists(self, name: str, namespace: str) -> bool:
        """Whether there is a SecureModel object; False also when that may not be read. Only for better messages."""
        try:
            client.CustomObjectsApi(self._api).get_namespaced_custom_object(
                "securemodel.dev", "v1alpha1", namespace, "securemodels", name, _request_timeout=_SECONDS
            )
        except (client.ApiException, urllib3.exceptions.HTTPError, OSError):
            return False
        return True

    def pod_endpoint(self, namespace: str, pod: str, port: int, server_name: str) -> Endpoint:
        """A player behind a port-forward. Every dial is a forward of its own, so a restarted pod is found again."""
        return Endpoint(where=f"pod {namespace}/{pod}:{port}", server_name=server_name, dial=lambda seconds: self._forward(namespace, pod, port, seconds))

    @property
    def _host(self) -> str:
        return str(self._api.configuration.host)

    def _forward(self, namespace: str, pod: str, port: int, seconds: float) -> socket.socket:
        configuration = self._api.configuration
        url = get_websocket_url(f"{configuration.host}/api/v1/namespaces/{namespace}/pods/{pod}/portforward", [("ports", str(port))])
        token = configuration.auth_settings().get("BearerToken", {}).get("value")
        try:
            with _DIALING:
                before = websocket.getdefaulttimeout()
                websocket.setdefaulttimeout(max(seconds, _SECONDS))
                try:
                    stream = create_websocket(configuration, url, {"authorization": token} if token else None)
                finally:
                    websocket.setdefaulttimeout(before)
        except websocket.WebSocketBadStatusException as e:
            if e.status_code in (401, 403):
                raise ConfigError(f"the API server refuses to forward to pod {namespace}/{pod}: {e.status_code}; {_may('create', 'pods/portforward')}") from e
            raise ConnectionRefusedError(f"the API server cannot forward to it: {_reason(e)}") from e
        except websocket.WebSocketException as e:
            raise ConnectionError(f"the API server broke the forward off: {e}") from e
        forward = _Forward(stream, [port])
        raw: socket.socket = forward.socket(port)._socket  # noqa: SLF001 - ssl wants the socket itself, not the wrapper that hides TCP options
        return raw


class _Forward(PortForward):  # type: ignore[misc]
    """The stream of one port; ends quietly when either side goes away, which the TLS connection inside notices."""

    def _proxy(self) -> None:
        try:
            super()._proxy()
        except (OSError, ValueError, RuntimeError, websocket.WebSocketException):
            pass
        finally:
            for port in self.local_ports.values():
                port.python.close()
            with suppress(OSError, websocket.WebSocketException):
                self.websocket.close(timeout=1)


def missing(cluster: Cluster, name: str, namespace: str) -> ModelNotFound:
    """The error for a model without a client config."""
    if cluster.model_exists(name, namespace):
        return ModelNotFound(f"SecureModel {namespace}/{name} has no client config yet; see `kubectl describe securemodel {name} -n {namespace}`")
    return ModelNotFound(f"there is no SecureModel {name!r} in namespace {namespace!r}; `kubectl get securemodels -A` lists them")


def _may(verb: str, resource: str) -> str:
    return f"this needs permission to {verb} {resource} there (docs/client.md)"


def _root(error: BaseException) -> BaseException:
    return error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason else error


def _reason(error: websocket.WebSocketBadStatusException) -> str:
    body = getattr(error, "resp_body", None)
    return f"{error.status_code} {body.decode(errors='replace')[:200]}" if body else str(error.status_code)
