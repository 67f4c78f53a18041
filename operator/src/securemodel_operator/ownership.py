"""Whose an object is: only what is ours is changed."""

from __future__ import annotations

from . import names
from .objects import Key, Object
from .seen import Snapshot
from .spec.model import SecureModel


def wanted_keys(sm: SecureModel) -> list[Key]:
    """Every object that the operator keeps for a SecureModel, but Jobs."""
    keys = [("Secret", sm.names.ca_secret()), ("Secret", sm.names.tls_secret(names.SHARE))]
    keys += [
        ("ConfigMap", sm.names.cluster_config()),
        ("ConfigMap", sm.names.client_config()),
    ]
    keys += [("Service", sm.names.headless_service())]
    for player in sm.players:
        keys += [
            ("Secret", sm.names.tls_secret(player.name)),
            ("StatefulSet", sm.names.stateful_set(player.name)),
        ]
        keys += [("PersistentVolumeClaim", sm.names.claim(player.seat))]
        keys += [("Service", sm.names.client_service(player.name))] if player.serves_clients else []
    return sorted(keys)


def conflicts(sm: SecureModel, snapshot: Snapshot) -> list[Key]:
    """Objects that have a name of ours and are not ours: they are never taken over."""
    return [
        k
        for k in wanted_keys(sm)
        if (obj := snapshot.live.get(k)) is not None
        and not owned(sm, obj)
        and not adoptable(sm, obj)
    ]


def previous(sm: SecureModel, obj: Object) -> bool:
    """Whether it belonged to a deleted SecureModel of the same name: it will be collected."""
    owner = _controller(obj)
    return (
        owner is not None
        and owner.get("kind") == names.KIND
        and owner.get("name") == sm.name
        and owner.get("uid") != sm.uid
    )


def owned(sm: SecureModel, obj: Object) -> bool:
    return any(
        reference.get("uid") == sm.uid for reference in obj["metadata"].get("ownerReferences", [])
    )


def _controller(obj: Object) -> Object | None:
    found: list[Object] = [
        reference
        for reference in obj["metadata"].get("ownerReferences", [])
        if reference.get("controller")
    ]
    return found[0] if found else None


def adoptable(sm: SecureModel, obj: Object) -> bool:
    """Whether it is a claim that its StatefulSet made anew, mostly before we can.

    Such a claim has the labels of the selector and no owner.
    """
    labels = obj["metadata"].get("labels", {})
    of_player = (
        sm.names.claim(names.Seat(str(labels.get(names.PLAYER_LABEL)))) == obj["metadata"]["name"]
    )
    return (
        obj["kind"] == "PersistentVolumeClaim"
        and _controller(obj) is None
        and labels.get(names.MODEL_LABEL) == sm.name
        and of_player
    )
