"""Where a file that the spec names can lie: one row for each URI scheme.

What the share Job mounts is described here; what the share step fetches itself, by its URI, needs a
fetcher there. The CRD has the rule that the API server checks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ConfigMapKey:
    name: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """How the share Job comes by a file.

    `location` is what the share step is told: a path below `folder`, or a URI. `volume` is what is
    mounted at `folder`, as in a pod's spec. `config_map` must be there before the Job is made.
    """

    location: str
    folder: str
    volume: dict[str, Any] | None = None
    config_map: ConfigMapKey | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """A row: the scheme, the form to show to users, and the artifact of a URI, for a folder."""

    scheme: str
    form: str
    artifact: Callable[[str, str], Artifact]


def _in_config_map(uri: str, folder: str) -> Artifact:
    name, _, key = uri.removeprefix("configmap://").partition("/")
    volume = {"configMap": {"name": name, "items": [{"key": key, "path": key}]}}
    where = ConfigMapKey(name=name, key=key)
    location = f"{folder}/{key}"
    return Artifact(location=location, folder=folder, volume=volume, config_map=where)


def _fetched(uri: str, folder: str) -> Artifact:
    return Artifact(location=uri, folder=folder)


SOURCES = (
    Source(scheme="configmap", form="configmap://name/key", artifact=_in_config_map),
    Source(scheme="https", form="https://host/path", artifact=_fetched),
)


def source_of(uri: str) -> Source | None:
    """The row of a URI's scheme; None: there is none."""
    return next((row for row in SOURCES if uri.startswith(f"{row.scheme}://")), None)
