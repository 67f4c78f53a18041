"""Events: what users see of changed conditions."""

from __future__ import annotations

from datetime import datetime

from .names import MANAGER
from .objects import Object, stamp
from .reasons import under_way


def changes(before: list[Object], after: list[Object]) -> list[Object]:
    """The conditions whose status or reason is new: these become events."""
    old = {condition["type"]: _essence(condition) for condition in before}
    return [condition for condition in after if old.get(condition["type"]) != _essence(condition)]


def event(body: Object, condition: Object, now: datetime) -> Object:
    """An event about the SecureModel; a warning if someone may have to act."""
    metadata = body["metadata"]
    identity = {key: metadata[key] for key in ("name", "namespace", "uid")}
    bad = condition["status"] == "False" and not under_way(condition["reason"])
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name']}-", "namespace": metadata["namespace"]},
        "involvedObject": {"apiVersion": body["apiVersion"], "kind": body["kind"], **identity},
        "type": "Warning" if bad else "Normal",
        "reason": condition["reason"],
        "message": f"{condition['type']}={condition['status']}: {condition['message']}"[:1000],
        "source": {"component": MANAGER},
        "firstTimestamp": stamp(now),
        "lastTimestamp": stamp(now),
        "count": 1,
    }


def _essence(condition: Object) -> tuple[str, str]:
    return condition["status"], condition["reason"]
