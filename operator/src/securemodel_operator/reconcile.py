"""One pass over one SecureModel: snapshot, plan, apply, one status write, events. Level-triggered: it needs nothing but the present."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from . import builders, naming, pki
from .api import InvalidSpecError, SecureModel, parse
from .conditions import State, changes, merge
from .kube import Kube
from .planner import (
    Certificates,
    Plan,
    Snapshot,
    assess,
    conflicts,
    plan,
    player_statuses,
    refuse,
    secret_values,
    stale_certificates,
    wanted_keys,
)
from .players import Players
from .reasons import Reason
from .settings import Settings

log = logging.getLogger("securemodel")
BUSY_S = 1.0
SETTLED_S = 5.0
REFUSED_S = 10.0


@dataclass
class Reconciler:
    kube: Kube
    players: Players
    settings: Settings

    async def run(self, namespace: str, name: str, uid: str) -> float | None:
        """One pass. Seconds until the next one is due; None: the object is gone."""
        body = await self.kube.get("SecureModel", namespace, name)
        if body is None or body["metadata"]["uid"] != uid or "deletionTimestamp" in body["metadata"]:
            return None
        now = datetime.now(UTC)
        try:
            sm = parse(body)
        except InvalidSpecError as error:
            await self._report(body, refuse(Reason.INVALID_SPEC, str(error)), {}, now)
            return REFUSED_S
        snapshot = await self._snapshot(sm)
        if foreign := conflicts(sm, snapshot):
            names = ", ".join(f"{kind} {n}" for kind, n in foreign)
            message = f"{names} exists in namespace {namespace} and does not belong to this SecureModel; delete or rename it, or choose another name"
            await self._report(body, refuse(Reason.NAME_CONFLICT, message), {}, now)
            return REFUSED_S
        snapshot = await self._issue(sm, snapshot, now)
        certificates = _certificates(sm, snapshot)
        await self._carry_out(sm, plan(sm, snapshot, certificates, self.settings, now))
        states = assess(sm, snapshot)
        digests = {player.get("digest") for player in snapshot.players.values()}
        endpoints = [
            {"player": p.name, "role": p.role, "url": f"https://{naming.client_host(sm.name, p.name, sm.namespace)}:{naming.TLS_PORT}"}
            for p in sm.players
            if p.role in naming.DATA_ROLES
        ]
        status: dict[str, Any] = {"ca": certificates.ca, "endpoints": endpoints, "players": player_statuses(sm, snapshot)}
        status["digest"] = digests.pop() if len(snapshot.players) == len(sm.players) and len(digests) == 1 else None
        await self._report(body, states, status, now)
        return SETTLED_S if states[-1].status else BUSY_S

    async def _snapshot(self, sm: SecureModel) -> Snapshot:
        keys = wanted_keys(sm)
        objects, jobs, pods, reports, missing = await asyncio.gather(
            asyncio.gather(*(self.kube.get(kind, sm.namespace, name) for kind, name in keys)),
            self.kube.children("Job", sm.namespace, sm.name),
            self.kube.children("Pod", sm.namespace, sm.name),
            self.players.reports(sm),
            self._missing_reference(sm),
        )
        live = {k: obj for k, obj in zip(keys, objects, strict=True) if obj is not None}
        mine = [job for job in jobs if any(r.get("uid") == sm.uid for r in job["metadata"].get("ownerReferences", []))]
        return Snapshot(live, mine, pods, reports, missing)

    async def _missing_reference(self, sm: SecureModel) -> tuple[Reason, str] | None:
        """What the spec refers to and is not there, with the next step; it is looked for again in every pass."""
        for reference, reason, what in (
            (sm.model.config_map, Reason.ARTIFACT_NOT_FOUND, "spec.model.uri"),
            (sm.model.ca_bundle, Reason.REFERENCE_NOT_FOUND, "spec.model.caBundle"),
        ):
            if reference is None:
                continue
            found = await self.kube.get("ConfigMap", sm.namespace, reference.name)
            if found is None:
                return (
                    reason,
                    f"there is no ConfigMap {reference.name!r} in namespace {sm.namespace!r} ({what}); create it: kubectl create configmap {reference.name} --from-file={reference.key}=...",
                )
            keys = sorted([*found.get("data", {}), *found.get("binaryData", {})])
            if reference.key not in keys:
                return reason, f"ConfigMap {reference.name!r} has no key {reference.key!r} ({what}); it has {', '.join(keys) or 'none'}"
        if sm.model.credentials_secret and await self.kube.get("Secret", sm.namespace, sm.model.credentials_secret) is None:
            name = sm.model.credentials_secret
            return (
                Reason.REFERENCE_NOT_FOUND,
                f"there is no Secret {name!r} in namespace {sm.namespace!r} (spec.model.credentialsSecretRef); create it with the key token, or username and password",
            )
        return None

    async def _issue(self, sm: SecureModel, snapshot: Snapshot, now: datetime) -> Snapshot:
        """Issues what certificates are missing or end soon; returns the snapshot with the new Secrets."""
        stale = stale_certificates(sm, snapshot, now)
        if not stale:
            return snapshot
        live = dict(snapshot.live)
        ca_key = ("Secret", naming.ca_secret(sm.name))
        if "ca" in stale:
            live[ca_key] = builders.ca_secret(sm, pki.make_ca(sm.namespace, sm.name, now))
            await self.kube.apply(live[ca_key])
        values = secret_values(live[ca_key])
        ca = pki.Issued(values["tls.crt"], values["tls.key"])
        for player in (*sm.players, None):
            holder = player.name if player else "share"
            if holder not in stale:
                continue
            issued = pki.issue_player(ca, sm.namespace, sm.name, player.name, player.role, now) if player else pki.issue_share(ca, sm.namespace, sm.name, now)
            secret = builders.leaf_secret(sm, holder, issued, ca.certificate)
            await self.kube.apply(secret)
            live["Secret", naming.tls_secret(sm.name, holder)] = secret
        log.info("%s/%s: issued certificates for %s", sm.namespace, sm.name, ", ".join(stale))
        return Snapshot(live, snapshot.jobs, snapshot.pods, snapshot.players, snapshot.missing_reference)

    async def _carry_out(self, sm: SecureModel, todo: Plan) -> None:
        for obj in todo.apply:
            await self.kube.apply(obj)
        for obj in todo.create:
            await self.kube.create(obj)
        for kind, name in todo.delete:
            await self.kube.delete(kind, sm.namespace, name)
        changed = [f"{obj['kind']} {obj['metadata']['name']}" for obj in (*todo.apply, *todo.create)] + [f"-{kind} {name}" for kind, name in todo.delete]
        if changed:
            log.info("%s/%s: applied %s", sm.namespace, sm.name, ", ".join(changed))

    async def _report(self, body: dict[str, Any], states: list[State], status: dict[str, Any], now: datetime) -> None:
        """One status write if anything changed, then events."""
        metadata, before = body["metadata"], body.get("status") or {}
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = merge(before.get("conditions", []), states, metadata["generation"], stamp)
        after = {**status, "observedGeneration": metadata["generation"], "conditions": conditions}
        if {name: before.get(name) for name in after} == after:
            return
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
            await self.kube.create(_event(body, condition, now))


def _certificates(sm: SecureModel, snapshot: Snapshot) -> Certificates:
    def certificate(name: str) -> str:
        return secret_values(snapshot.live["Secret", name])["tls.crt"]

    holders = [*(player.name for player in sm.players), "share"]
    return Certificates(certificate(naming.ca_secret(sm.name)), {holder: certificate(naming.tls_secret(sm.name, holder)) for holder in holders})


STILL_STARTING = (Reason.SHARING, Reason.PLAYERS_STARTING, Reason.NOT_REACHABLE, Reason.NO_SHARES, Reason.PEERS_MISSING)


def _event(body: dict[str, Any], condition: dict[str, Any], now: datetime) -> dict[str, Any]:
    metadata = body["metadata"]
    bad = condition["status"] == "False" and condition["reason"] not in STILL_STARTING
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name']}-", "namespace": metadata["namespace"]},
        "involvedObject": {key: body[key] for key in ("apiVersion", "kind")} | {key: metadata[key] for key in ("name", "namespace", "uid")},
        "type": "Warning" if bad else "Normal",
        "reason": condition["reason"],
        "message": f"{condition['type']}={condition['status']}: {condition['message']}"[:1000],
        "source": {"component": naming.MANAGER},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
