"""One pass over one SecureModel: read, refuse, issue, apply, report.

Level-triggered: it needs nothing but the present.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from .certificates import renewed
from .children import children
from .conditions.accepted import refusal
from .events import changes, event
from .kube import Kube, KubeError
from .names import KIND
from .objects import Key, Object
from .ownership import owned
from .plan import Plan, plan
from .players import Players
from .reasons import Condition, Reason, under_way
from .references import missing, references
from .seen import Seen
from .settings import Settings
from .spec.model import SecureModel
from .spec.parse import InvalidSpecError, parse
from .state import State, fails
from .status import conditions_of, status_of, status_of_refused

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
        body = await self.kube.get(KIND, namespace, name)
        if body is None or _going(body, uid):
            return None
        now = datetime.now(UTC)
        try:
            sm = parse(body)
        except InvalidSpecError as error:
            return await self._refuse(body, fails(Reason.INVALID_SPEC, str(error)), now)

        seen = await self._read(sm, body)
        if why := refusal(sm, seen):
            return await self._refuse(body, why, now)

        certificates = renewed(sm, seen.live, now)
        todo = plan(sm, seen, certificates, self.settings, now)
        refused = await self._apply(sm, todo)
        _log_issued(sm, certificates.issued)

        seen = replace(seen, refused=refused)
        status = status_of(sm, seen, certificates.ca.certificate, body, now)
        await self._report(body, status, now)
        return BUSY_S if _busy(status, now) else SETTLED_S

    async def _read(self, sm: SecureModel, body: Object) -> Seen:
        live, jobs, pods, reports, lacking = await asyncio.gather(
            self._objects(sm, (child.key for child in children(sm))),
            self.kube.children("Job", sm.namespace, sm.name),
            self.kube.children("Pod", sm.namespace, sm.name),
            self.players.reports(sm),
            self._missing_reference(sm),
        )
        return Seen(
            live=live,
            jobs=[job for job in jobs if owned(sm, job)],
            pods=pods,
            reports=reports,
            missing=lacking,
            known_digest=(body.get("status") or {}).get("digest"),
            known_ranges=(body.get("status") or {}).get("ranges"),
        )

    async def _objects(self, sm: SecureModel, keys: Iterable[Key]) -> dict[Key, Object]:
        """Those of the keys that there are."""
        asked = list(keys)
        answers = (self.kube.get(kind, sm.namespace, name) for kind, name in asked)
        found = zip(asked, await asyncio.gather(*answers), strict=True)
        return {key: obj for key, obj in found if obj is not None}

    async def _missing_reference(self, sm: SecureModel) -> State | None:
        """It is looked for again in every pass."""
        wanted = references(sm)
        found = await self._objects(sm, (reference.object_key for reference in wanted))
        told = (missing(sm, reference, found.get(reference.object_key)) for reference in wanted)
        return next((state for state in told if state), None)

    async def _refuse(self, body: Object, why: State, now: datetime) -> float:
        await self._report(body, status_of_refused(why, body, now), now)
        return DELETING_S if why.reason is Reason.PREVIOUS_STILL_DELETING else REFUSED_S

    async def _apply(self, sm: SecureModel, todo: Plan) -> str | None:
        """What the API server said, if it refused an object.

        This is for the user to see, and does not keep the other objects back.
        """
        refusals = [await self._send(self.kube.apply(obj), obj) for obj in todo.apply]
        refusals += [await self._send(self.kube.create(obj), obj) for obj in todo.create]
        for kind, name in todo.delete:
            await self.kube.delete(kind, sm.namespace, name)
        _log_changes(sm, todo)
        return next((refused for refused in refusals if refused), None)

    async def _send(self, request: Awaitable[None], obj: Object) -> str | None:
        """What the API server said, if it refused the object.

        A refused certificate ends the pass: nothing is started with one that is not kept.
        """
        try:
            await request
        except KubeError as error:
            if error.status not in REFUSALS or obj["kind"] == "Secret":
                raise
            return str(error)
        return None

    async def _report(self, body: Object, status: Object, now: datetime) -> None:
        """One status write if anything changed, then events."""
        metadata, before = body["metadata"], body.get("status") or {}
        if all(before.get(name) == value for name, value in status.items()):
            return
        await self.kube.write_status(metadata["namespace"], metadata["name"], status)
        for condition in changes(conditions_of(body), status["conditions"]):
            _log_condition(metadata, condition)
            await self.kube.create(event(body, condition, now))


def _going(body: Object, uid: str) -> bool:
    """Whether it is being deleted, or is another object of that name."""
    return body["metadata"]["uid"] != uid or "deletionTimestamp" in body["metadata"]


def _busy(status: Object, now: datetime) -> bool:
    """Whether something is under way that is only seen by asking."""
    ready = next(c for c in status["conditions"] if c["type"] == Condition.READY)
    since = datetime.fromisoformat(ready["lastTransitionTime"])
    moving = ready["status"] == "False" and under_way(ready["reason"])
    return moving and now - since < BUSY_FOR


def _log_issued(sm: SecureModel, holders: tuple[str, ...]) -> None:
    if holders:
        log.info("%s/%s: issued certificates for %s", sm.namespace, sm.name, ", ".join(holders))


def _log_changes(sm: SecureModel, todo: Plan) -> None:
    sent = [f"{obj['kind']} {obj['metadata']['name']}" for obj in (*todo.apply, *todo.create)]
    changed = [*sent, *(f"-{kind} {name}" for kind, name in todo.delete)]
    if changed:
        log.info("%s/%s: applied %s", sm.namespace, sm.name, ", ".join(changed))


def _log_condition(metadata: Object, condition: Object) -> None:
    where = f"{metadata['namespace']}/{metadata['name']}"
    what = f"{condition['type']}={condition['status']} {condition['reason']}"
    log.info("%s: %s: %s", where, what, condition["message"])
