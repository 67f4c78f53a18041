"""Events: what users see of changed conditions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from . import names
from .reasons import under_way


def changes(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conditions whose status or reason is new: these become events."""
    old = {condition["type"]: (condition["status"], condition["reason"]) for condition in before}
    return [
        condition
        for condition in after
        if old.get(condition["type"]) != (condition["status"], condition["reason"])
    ]


def event(body: dict[str, Any], condition: dict[str, Any], now: datetime) -> dict[str, Any]:
    metadata = body["metadata"]
    bad = condition["status"] == "False" and not under_way(condition["reason"])
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name']}-", "namespace": metadata["namespace"]},
        "involvedObject": {key: body[key] for key in ("apiVersion", "kind")}
        | {key: metadata[key] for key in ("name", "namespace", "uid")},
        "type": "Warning" if bad else "Normal",
        "reason": condition["reason"],
        "message": f"{condition['type']}={condition['status']}: {condition['message']}"[:1000],
        "source": {"component": names.MANAGER},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
