"""Kubernetes objects as plain values, and the kinds that the operator knows, one row each.

A new kind also needs a rule in the chart's role.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .names import GROUP, KIND, PLURAL, VERSION

Object = dict[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class ApiKind:
    """Where the API server has a kind; a change of a watched one wakes its owner."""

    api_version: str
    plural: str
    watched: bool = False

    @property
    def path(self) -> str:
        return ("/apis/" if "/" in self.api_version else "/api/") + self.api_version

    @property
    def group_and_version(self) -> tuple[str, str]:
        group, _, version = self.api_version.rpartition("/")
        return group, version


# Pods and Secrets are not watched: a pass looks at those of its own model by name or label
KINDS = {
    "ConfigMap": ApiKind(api_version="v1", plural="configmaps", watched=True),
    "Event": ApiKind(api_version="v1", plural="events"),
    "Job": ApiKind(api_version="batch/v1", plural="jobs", watched=True),
    "PersistentVolumeClaim": ApiKind(api_version="v1", plural="persistentvolumeclaims"),
    "Pod": ApiKind(api_version="v1", plural="pods"),
    "Secret": ApiKind(api_version="v1", plural="secrets"),
    KIND: ApiKind(api_version=f"{GROUP}/{VERSION}", plural=PLURAL),
    "Service": ApiKind(api_version="v1", plural="services", watched=True),
    "StatefulSet": ApiKind(api_version="apps/v1", plural="statefulsets", watched=True),
}


def key(obj: Object) -> Key:
    return obj["kind"], obj["metadata"]["name"]


def stamp(now: datetime) -> str:
    """A time as Kubernetes writes it."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def secret_values(obj: Object | None) -> dict[str, str]:
    """A Secret's data, decoded; nothing for what is not text."""
    values = {}
    for name, value in ((obj or {}).get("data") or {}).items():
        try:
            values[name] = base64.b64decode(value).decode()
        except ValueError:
            continue
    return values
