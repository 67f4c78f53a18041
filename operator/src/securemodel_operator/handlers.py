"""kopf: events in, workers woken. Nothing else; the only user of kopf."""

from __future__ import annotations

from typing import Any

import kopf

from . import names
from .kube import Kube
from .objects import KINDS
from .players import Players
from .reconcile import Reconciler
from .settings import load
from .worker import Workers

STALLED_S = 120.0
WATCH_S = 300
CHILDREN = tuple((*kind.group_and_version, kind.plural) for kind in KINDS.values() if kind.watched)


class Operator:
    """What lives from startup to cleanup."""

    def __init__(self) -> None:
        self.kube = Kube()
        self.players = Players()
        self.workers = Workers(Reconciler(self.kube, self.players, load()).run)

    async def stop(self) -> None:
        await self.workers.stop()
        await self.players.close()
        await self.kube.close()


def configure(settings: kopf.OperatorSettings) -> None:
    settings.posting.enabled = False  # events are the reconciler's
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.persistence.finalizer = f"{names.GROUP}/unused"

    # a stream can go quiet without an end
    settings.watching.server_timeout = WATCH_S
    settings.watching.client_timeout = WATCH_S + 10
    # the API server filters by them
    for child in CHILDREN:
        settings.watching.label_selectors[child] = names.MODEL_LABEL


def build() -> kopf.OperatorRegistry:
    """All handlers, in a registry of their own."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
        configure(settings)
        memo.operator = Operator()
        await memo.operator.kube.connect()

    @kopf.on.cleanup(registry=registry)
    async def stop(memo: kopf.Memo, **_: Any) -> None:
        await memo.operator.stop()

    @kopf.on.probe(id="passes", registry=registry)
    def alive(memo: kopf.Memo, **_: Any) -> str:
        if memo.operator.workers.stalled(STALLED_S):
            # of its errors this one makes the probe fail at once
            raise kopf.PermanentError(f"no pass has ended for {STALLED_S:g} s")
        return "ok"

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def changed(
        namespace: str | None, name: str, uid: str, memo: kopf.Memo, **_: Any
    ) -> None:
        memo.operator.workers.wake(namespace or "", name, uid)

    async def child_changed(meta: Any, memo: kopf.Memo, **_: Any) -> None:
        for reference in meta.get("ownerReferences", []):
            memo.operator.workers.wake_child(reference["uid"])

    for child in CHILDREN:
        kopf.on.event(*child, id=f"{child[-1]}-changed", registry=registry)(child_changed)
    return registry
