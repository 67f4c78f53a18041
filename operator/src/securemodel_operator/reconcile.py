"""One pass over one SecureModel: snapshot, plan, apply, one status write, events.

Level-triggered: it needs nothing but the present.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from . import names
from .certificates import renewed
from .children import children
from .conditions import assess, refuse
from .conditions.state import State
from .events import changes, event
from .kube import Kube, KubeError
from .ownership import conflicts, owned, previous
from .plan import Plan, plan
from .players import Players
from .reasons import Condition, Reason, under_way
from .seen import Snapshot, digest
from .settings import Settings
from .spec.model import SecureModel
from .spec.parse import InvalidSpecError, parse
from .status import merge, player_statuses

log = logging.getLogger("securemodel")
BUSY_S = 1.0
SETTLED_S = 5.0
REFUSED_S = 10.0
DELETING_S = 2.0
# a model that is not ready after so long is looked at as seldom as one that is
BUSY_FOR = timedelta(minutes=3)
# of an object: quota, admission, permission, a field that cannot be changed
REFUSALS = (403, 422)


@dataclass
class Reconciler:
    kube: Kube
    players: Players
    settings: Settings

    async def run(self, namespace: str, name: str, uid: str) -> float | None:
        """One pass. Seconds until the next one is due; None: the object is gone."""
        body = await self.kube.get("SecureModel", namespace, name)
        if (
            body is None
            or body["metadata"]["uid"] != uid
            or "deletionTimestamp" in body["metadata"]
        ):
            return None
        now = datetime.now(UTC)
        try:
            sm = parse(body)
        except InvalidSpecError as error:
            await self._report(body, refuse(Reason.INVALID_SPEC, str(error)), {}, now)
            return REFUSED_S
        snapshot = await self._snapshot(sm, (body.get("status") or {}).get("digest"))
        if foreign := conflicts(sm, snapshot.live):
            taken = ", ".join(f"{kind} {n}" for kind, n in foreign)
            if all(previous(sm, snapshot.live[k]) for k in foreign):
                message = (
                    f"{taken} belongs to the SecureModel {name} that was deleted before; "
                    "waiting until it is collected"
                )
                await self._report(body, refuse(Reason.PREVIOUS_STILL_DELETING, message), {}, now)
                return DELETING_S
            message = (
                f"{taken} exists in namespace {namespace} and does not belong to this SecureModel; "
                "delete or rename it, or choose another name"
            )
            await self._report(body, refuse(Reason.NAME_CONFLICT, message), {}, now)
            return REFUSED_S
        certificates = renewed(sm, snapshot.live, now)
        todo = plan(sm, snapshot, certificates, self.settings, now)
        refused = await self._carry_out(sm, todo)
        if certificates.issued:
            issued = ", ".join(certificates.issued)
            log.info("%s/%s: issued certificates for %s", namespace, name, issued)
        states = assess(sm, snapshot, refused)
        endpoints = [
            {
                "player": p.name,
                "role": p.role,
                "url": f"https://{sm.names.client_host(p.name)}:{names.TLS_PORT}",
            }
            for p in sm.players
            if p.serves_clients
        ]
        status: dict[str, Any] = {
            "ca": certificates.ca.certificate,
            "endpoints": endpoints,
            "players": player_statuses(sm, snapshot),
        }
        status["digest"] = digest(sm, snapshot)
        conditions = await self._report(body, states, status, now)
        return BUSY_S if _busy(states, conditions, now) else SETTLED_S

    async def _snapshot(self, sm: SecureModel, known_digest: str | None) -> Snapshot:
        keys = [child.key for child in children(sm)]
        objects, jobs, pods, reports, missing = await asyncio.gather(
            asyncio.gather(*(self.kube.get(kind, sm.namespace, name) for kind, name in keys)),
            self.kube.children("Job", sm.namespace, sm.name),
            self.kube.children("Pod", sm.namespace, sm.name),
            self.players.reports(sm),
            self._missing_reference(sm),
        )
        live = {k: obj for k, obj in zip(keys, objects, strict=True) if obj is not None}
        mine = [job for job in jobs if owned(sm, job)]
        return Snapshot(live, mine, pods, reports, missing, known_digest)

    async def _missing_reference(self, sm: SecureModel) -> tuple[Reason, str] | None:
        """What the spec refers to and is not there, with the next step.

        It is looked for again in every pass.
        """
        for reference, reason, what in (
            (sm.model.artifact.config_map, Reason.ARTIFACT_NOT_FOUND, "spec.model.uri"),
            (sm.model.ca_bundle, Reason.REFERENCE_NOT_FOUND, "spec.model.caBundle"),
        ):
            if reference is None:
                continue
            found = await self.kube.get("ConfigMap", sm.namespace, reference.name)
            if found is None:
                return (
                    reason,
                    (
                        f"there is no ConfigMap {reference.name!r} in namespace {sm.namespace!r} "
                        f"({what}); create it: kubectl create configmap {reference.name} "
                        f"--from-file={reference.key}=..."
                    ),
                )
            keys = sorted([*found.get("data", {}), *found.get("binaryData", {})])
            if reference.key not in keys:
                return (
                    reason,
                    (
                        f"ConfigMap {reference.name!r} has no key {reference.key!r} ({what}); "
                        f"it has {', '.join(keys) or 'none'}"
                    ),
                )
        if (
            sm.model.credentials_secret
            and await self.kube.get("Secret", sm.namespace, sm.model.credentials_secret) is None
        ):
            name = sm.model.credentials_secret
            return (
                Reason.REFERENCE_NOT_FOUND,
                (
                    f"there is no Secret {name!r} in namespace {sm.namespace!r} "
                    "(spec.model.credentialsSecretRef); "
                    "create it with the key token, or username and password"
                ),
            )
        return None

    async def _carry_out(self, sm: SecureModel, todo: Plan) -> str | None:
        """What the API server said, if it refused an object.

        This is for the user to see, and does not keep the other objects back.
        """
        refusal = None
        for send, objects in ((self.kube.apply, todo.apply), (self.kube.create, todo.create)):
            for obj in objects:
                try:
                    await send(obj)
                except KubeError as error:
                    if error.status not in REFUSALS or obj["kind"] == "Secret":
                        raise  # with a certificate that is not kept nothing is started
                    refusal = refusal or str(error)
        for kind, name in todo.delete:
            await self.kube.delete(kind, sm.namespace, name)
        changed = [
            f"{obj['kind']} {obj['metadata']['name']}" for obj in (*todo.apply, *todo.create)
        ] + [f"-{kind} {name}" for kind, name in todo.delete]
        if changed:
            log.info("%s/%s: applied %s", sm.namespace, sm.name, ", ".join(changed))
        return refusal

    async def _report(
        self, body: dict[str, Any], states: list[State], status: dict[str, Any], now: datetime
    ) -> list[dict[str, Any]]:
        """One status write if anything changed, then events. The conditions as they are now."""
        metadata, before = body["metadata"], body.get("status") or {}
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = merge(before.get("conditions", []), states, metadata["generation"], stamp)
        after = {**status, "observedGeneration": metadata["generation"], "conditions": conditions}
        if {name: before.get(name) for name in after} == after:
            return conditions
        await self.kube.write_status(metadata["namespace"], metadata["name"], after)
        for condition in changes(before.get("conditions", []), conditions):
            log.info(
                "%s/%s: %s=%s %s: %s",
                metadata["namespace"],
                metadata["name"],
                condition["type"],
                condition["status"],
                condition["reason"],
                condition["message"],
            )
            await self.kube.create(event(body, condition, now))
        return conditions


def _busy(states: list[State], conditions: list[dict[str, Any]], now: datetime) -> bool:
    """Whether something is under way that is only seen by asking."""
    since = next(
        condition["lastTransitionTime"]
        for condition in conditions
        if condition["type"] == Condition.READY
    )
    moving = not states[-1].status and under_way(states[-1].reason)
    return moving and now - datetime.fromisoformat(since) < BUSY_FOR
