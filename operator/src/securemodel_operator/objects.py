"""Kubernetes objects as plain values."""

from __future__ import annotations

import base64
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str]


def key(obj: Object) -> Key:
    return obj["kind"], obj["metadata"]["name"]


def secret_values(obj: Object | None) -> dict[str, str]:
    """A Secret's data, decoded; nothing for what is not text."""
    values = {}
    for name, value in ((obj or {}).get("data") or {}).items():
        try:
            values[name] = base64.b64decode(value).decode()
        except ValueError:
            continue
    return values
