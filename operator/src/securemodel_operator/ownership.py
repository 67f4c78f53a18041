"""Whose an object is: what is not ours is never changed."""

from __future__ import annotations

from collections.abc import Mapping

from .names import KIND, MODEL_LABEL, PLAYER_LABEL, Seat
from .objects import Key, Object
from .spec.model import SecureModel


def conflicts(sm: SecureModel, live: Mapping[Key, Object]) -> list[Key]:
    """Objects with the name of a child that are not ours: they are never taken over."""
    return sorted(
        key for key, obj in live.items() if not owned(sm, obj) and not _adoptable(sm, obj)
    )


def owned(sm: SecureModel, obj: Object) -> bool:
    return any(reference.get("uid") == sm.uid for reference in _owners(obj))


def previous(sm: SecureModel, obj: Object) -> bool:
    """Whether it belonged to a deleted SecureModel of the same name: it will be collected."""
    owner = _controller(obj) or {}
    of_namesake = (owner.get("kind"), owner.get("name")) == (KIND, sm.name)
    return of_namesake and owner.get("uid") != sm.uid


def _adoptable(sm: SecureModel, obj: Object) -> bool:
    """Whether it is a claim that its StatefulSet made anew, mostly before we can.

    Such a claim has the labels of the selector and no owner.
    """
    labels = obj["metadata"].get("labels", {})
    own_claim = sm.names.claim(Seat(str(labels.get(PLAYER_LABEL))))
    return (
        obj["kind"] == "PersistentVolumeClaim"
        and _controller(obj) is None
        and labels.get(MODEL_LABEL) == sm.name
        and obj["metadata"]["name"] == own_claim
    )


def _controller(obj: Object) -> Object | None:
    return next((reference for reference in _owners(obj) if reference.get("controller")), None)


def _owners(obj: Object) -> list[Object]:
    owners: list[Object] = obj["metadata"].get("ownerReferences", [])
    return owners
