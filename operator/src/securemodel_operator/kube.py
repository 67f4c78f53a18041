"""The Kubernetes API, as much of it as the operator needs. The only user of the client library."""

from __future__ import annotations

import json

from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from .names import KIND, MANAGER, MODEL_LABEL
from .objects import KINDS, Object

TIMEOUT_S = 10
NOT_FOUND = 404
CONFLICT = 409
HTTP_ERROR = 400
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class KubeError(Exception):
    """The API server refused or did not answer. Holds no request body: it may be a Secret."""

    def __init__(self, what: str, status: int, message: str) -> None:
        super().__init__(f"{what}: {message} (HTTP {status})" if status else f"{what}: {message}")
        self.status = status


class Kube:
    """One connection pool; close it when done."""

    def __init__(self) -> None:
        self.api: client.ApiClient | None = None

    async def connect(self) -> None:
        """In a pod by its service account, else by kubeconfig."""
        try:
            config.load_incluster_config()
        except config.ConfigException:
            await config.load_kube_config()
        self.api = client.ApiClient()

    async def close(self) -> None:
        if self.api:
            await self.api.close()

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """None if there is none."""
        try:
            return await self._request("GET", kind, namespace, name)
        except KubeError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def children(self, kind: str, namespace: str, model: str) -> list[Object]:
        """Objects of a kind that carry the model's label."""
        query = [("labelSelector", f"{MODEL_LABEL}={model}")]
        found = await self._request("GET", kind, namespace, query=query)
        items: list[Object] = found.get("items", [])
        for item in items:  # lists leave the kind out
            item.setdefault("kind", kind)
        return items

    async def apply(self, obj: Object) -> None:
        """Server-side, as the one manager of its fields."""
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        query = [("fieldManager", MANAGER), ("force", "true")]
        await self._request(
            "PATCH", obj["kind"], namespace, name, body=obj, query=query, content=APPLY
        )

    async def create(self, obj: Object) -> None:
        """Creates what is then left alone; that it exists already is fine."""
        namespace, query = obj["metadata"]["namespace"], [("fieldManager", MANAGER)]
        try:
            await self._request("POST", obj["kind"], namespace, body=obj, query=query)
        except KubeError as error:
            if error.status != CONFLICT:
                raise

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        """With its dependents, in the background; that it is gone already is fine."""
        options = {"propagationPolicy": "Background"}
        try:
            await self._request("DELETE", kind, namespace, name, body=options)
        except KubeError as error:
            if error.status != NOT_FOUND:
                raise

    async def write_status(self, namespace: str, name: str, status: Object) -> None:
        path, body = f"{name}/status", {"status": status}
        await self._request("PATCH", KIND, namespace, path, body=body, content=MERGE)

    async def _request(
        self,
        method: str,
        kind: str,
        namespace: str,
        name: str = "",
        *,
        body: Object | None = None,
        query: list[tuple[str, str]] | None = None,
        content: str = "application/json",
    ) -> Object:
        known, what = KINDS[kind], f"{method} {kind} {namespace}/{name}"
        if self.api is None:
            raise KubeError(what, 0, "not connected")
        path = f"{known.path}/namespaces/{namespace}/{known.plural}" + (f"/{name}" if name else "")
        headers = {"Accept": "application/json", "Content-Type": content}

        try:
            status, data = await _send(self.api, method, path, headers, body, query or [])
        except ApiException as error:
            raise KubeError(what, error.status or 0, str(error.reason)) from None
        except (OSError, TimeoutError) as error:
            raise KubeError(what, 0, type(error).__name__) from error

        if status >= HTTP_ERROR:
            raise KubeError(what, status, _message(data))
        loaded: Object = json.loads(data)
        return loaded


async def _send(
    api: client.ApiClient,
    method: str,
    path: str,
    headers: dict[str, str],
    body: Object | None,
    query: list[tuple[str, str]],
) -> tuple[int, bytes]:
    """The answer's HTTP status and body."""
    serialized = await api.param_serialize(
        method,
        path,
        query_params=query,
        header_params=headers,
        body=body,
        auth_settings=["BearerToken"],
    )
    response = await api.call_api(*serialized, _request_timeout=TIMEOUT_S)
    return response.status, await response.read()


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data).get("message", ""))[:500]
    except ValueError:
        return ""
