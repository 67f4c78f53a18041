"""Snapshot in, plan out. Pure: no clock, no randomness, no client; every decision of the operator is made here or in `assess`."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from . import builders, naming, pki
from .api import SecureModel
from .builders import Object
from .conditions import State
from .reasons import Condition, Reason, from_player, from_share_step
from .settings import Settings

RENEW_BEFORE = timedelta(days=30)
FIRST_RETRY_S = 10
LAST_RETRY_S = 300
# players that lost their shares are given this long to load them from their volumes
SHARES_GRACE_S = 20

Key = tuple[str, str]


def key(obj: Object) -> Key:
    return obj["kind"], obj["metadata"]["name"]


@dataclass(frozen=True)
class Snapshot:
    """What there is: children and wanted names by (kind, name), Jobs and Pods of this model, what each player says of itself, and the references of the spec."""

    live: dict[Key, Object] = field(default_factory=dict)
    jobs: list[Object] = field(default_factory=list)
    pods: list[Object] = field(default_factory=list)
    players: dict[str, Object] = field(default_factory=dict)
    missing_reference: tuple[Reason, str] | None = None


@dataclass(frozen=True)
class Plan:
    """Objects to apply (server-side), then to create once, then to delete."""

    apply: list[Object] = field(default_factory=list)
    create: list[Object] = field(default_factory=list)
    delete: list[Key] = field(default_factory=list)


@dataclass(frozen=True)
class Certificates:
    """The certificates in use: the CA's and each holder's (players, share), PEM."""

    ca: str
    leaves: dict[str, str]


def wanted_keys(sm: SecureModel) -> list[Key]:
    """Every object that the operator keeps for a SecureModel, but Jobs."""
    keys = [("Secret", naming.ca_secret(sm.name)), ("Secret", naming.tls_secret(sm.name, "share"))]
    keys += [("ConfigMap", naming.cluster_config(sm.name)), ("ConfigMap", naming.client_config(sm.name))]
    keys += [("Service", naming.headless_service(sm.name))]
    for player in sm.players:
        keys += [("Secret", naming.tls_secret(sm.name, player.name)), ("StatefulSet", naming.stateful_set(sm.name, player.name))]
        keys += [("PersistentVolumeClaim", naming.claim(sm.name, player.name))]
        keys += [("Service", naming.client_service(sm.name, player.name))] if player.role in naming.DATA_ROLES else []
    return sorted(keys)


def conflicts(sm: SecureModel, snapshot: Snapshot) -> list[Key]:
    """Objects that have a name of ours and are not ours: they are never taken over."""
    return [k for k in wanted_keys(sm) if (obj := snapshot.live.get(k)) is not None and not owned(sm, obj)]


def owned(sm: SecureModel, obj: Object) -> bool:
    return any(reference.get("uid") == sm.uid for reference in obj["metadata"].get("ownerReferences", []))


def secret_values(obj: Object | None) -> dict[str, str]:
    """A Secret's data, decoded; nothing for what is not text."""
    values = {}
    for name, value in ((obj or {}).get("data") or {}).items():
        try:
            values[name] = base64.b64decode(value).decode()
        except ValueError:
            continue
    return values


def stale_certificates(sm: SecureModel, snapshot: Snapshot, now: datetime) -> list[str]:
    """Holders whose certificate is missing, broken, of another CA or about to end: "ca", players' names, "share". A new CA makes all others stale."""

    def values(name: str) -> dict[str, str]:
        return secret_values(snapshot.live.get(("Secret", name)))

    def lasts(certificate: str) -> bool:
        return pki.expires(certificate) - now > RENEW_BEFORE

    ca = values(naming.ca_secret(sm.name))
    holders = [*(player.name for player in sm.players), "share"]
    certificate = ca.get("tls.crt", "")
    if not (ca.get("tls.key") and pki.issued_by(certificate, certificate) and lasts(certificate)):
        return ["ca", *holders]
    stale = []
    for holder in holders:
        own = values(naming.tls_secret(sm.name, holder))
        leaf = own.get("tls.crt", "")
        if not (own.get("tls.key") and own.get("ca.crt") == certificate and pki.issued_by(leaf, certificate) and lasts(leaf)):
            stale.append(holder)
    return stale


def plan(sm: SecureModel, snapshot: Snapshot, certificates: Certificates, settings: Settings, now: datetime) -> Plan:
    """What to change so that the cluster is as the spec says."""
    wanted = [
        builders.cluster_config(sm),
        builders.client_config(sm, certificates.ca, agreed(sm, snapshot, "digest")),
        builders.headless_service(sm),
    ]
    for player in sm.players:
        if player.role in naming.DATA_ROLES:
            wanted.append(builders.client_service(sm, player))
        # claims cannot be changed once they are bound, so an existing one is left alone
        if ("PersistentVolumeClaim", naming.claim(sm.name, player.name)) not in snapshot.live:
            wanted.append(builders.claim(sm, player, settings))
        wanted.append(builders.stateful_set(sm, player, certificates.leaves[player.name], settings))
    apply = [obj for obj in wanted if not covers(snapshot.live.get(key(obj)), obj)]
    jobs = sorted(snapshot.jobs, key=attempt_of)
    create = []
    if snapshot.missing_reference is None and (attempt := next_attempt(sm, snapshot, now)) is not None:
        create.append(builders.share_job(sm, attempt, settings))
    return Plan(apply, create, [key(job) for job in jobs[:-1]])


def covers(live: Any, wanted: Any) -> bool:
    """Whether everything that is wanted is there; what the API server adds does not matter."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(name in live and covers(live[name], value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(covers(a, b) for a, b in zip(live, wanted, strict=True))
    return bool(live == wanted)


def attempt_of(job: Object) -> int:
    text = job["metadata"].get("annotations", {}).get(naming.ATTEMPT_ANNOTATION, "0")
    return int(text) if text.isdigit() else 0


def agreed(sm: SecureModel, snapshot: Snapshot, what: str) -> str | None:
    """What all three players report alike (digest, generation); None if they do not."""
    reported = {(snapshot.players.get(player.name) or {}).get(what) for player in sm.players}
    only = reported.pop() if len(reported) == 1 else None
    return str(only) if only else None


def next_attempt(sm: SecureModel, snapshot: Snapshot, now: datetime) -> int | None:
    """The number of the share Job to make now; None: no new one."""
    if agreed(sm, snapshot, "generation"):
        return None
    if not snapshot.jobs:
        return 1
    job = max(snapshot.jobs, key=attempt_of)
    attempt = attempt_of(job)
    outcome = job_outcome(job, snapshot)
    if outcome is None:
        return None
    ended = (now - outcome.at).total_seconds()
    if outcome.succeeded:
        # shared, and a player that answers has nothing, or something else: its volume was lost
        answering = len(snapshot.players) == len(sm.players) and all(snapshot.players.values())
        return attempt + 1 if answering and ended > SHARES_GRACE_S else None
    wait = min(FIRST_RETRY_S * 2 ** (attempt - 1), LAST_RETRY_S)
    return attempt + 1 if outcome.retryable and ended > wait else None


@dataclass(frozen=True)
class Outcome:
    """How a share Job ended."""

    succeeded: bool
    at: datetime
    reason: Reason
    message: str
    retryable: bool


def job_outcome(job: Object, snapshot: Snapshot) -> Outcome | None:
    """None while it runs."""
    for condition in job.get("status", {}).get("conditions", []):
        if condition["status"] != "True" or condition["type"] not in ("Complete", "Failed"):
            continue
        at = datetime.fromisoformat(condition["lastTransitionTime"])
        if condition["type"] == "Complete":
            return Outcome(True, at, Reason.SHARED, "the shares were delivered", retryable=False)
        result = _termination_message(job, snapshot)
        if result is None:
            why = f"the share Job {job['metadata']['name']} failed without a result: {condition.get('message', condition.get('reason', ''))}"
            return Outcome(False, at, Reason.SHARE_JOB_FAILED, why, retryable=True)
        return Outcome(False, at, from_share_step(result.get("reason")), str(result.get("message", ""))[:1000], bool(result.get("retryable")))
    return None


def _termination_message(job: Object, snapshot: Snapshot) -> Object | None:
    for pod in _pods_of(snapshot, "share", job["metadata"]["name"]):
        for status in pod.get("status", {}).get("containerStatuses", []):
            text = status.get("state", {}).get("terminated", {}).get("message")
            try:
                result = json.loads(text) if text else None
            except ValueError:
                continue
            if isinstance(result, dict):
                return result
    return None


def _pods_of(snapshot: Snapshot, component: str, name: str) -> list[Object]:
    label = "batch.kubernetes.io/job-name" if component == "share" else naming.PLAYER_LABEL
    return [pod for pod in snapshot.pods if pod["metadata"].get("labels", {}).get(label) == name]


def assess(sm: SecureModel, snapshot: Snapshot) -> list[State]:
    """All conditions but Accepted's refusals, from what was seen."""
    players, shared, serving = _players_ready(sm, snapshot), _model_shared(sm, snapshot), _serving(sm, snapshot)
    states = [State(Condition.ACCEPTED, True, Reason.ACCEPTED, "the spec is valid"), players, shared, serving]
    failing = next((state for state in states if not state.status), None)
    ready = State(Condition.READY, True, Reason.READY, "private predictions are answered")
    if failing:
        ready = State(Condition.READY, False, failing.reason, failing.message)
    return [*states, ready]


def refuse(reason: Reason, message: str) -> list[State]:
    """The conditions of a SecureModel that is not accepted: nothing is made for it."""
    rest = (Condition.PLAYERS_READY, Condition.MODEL_SHARED, Condition.SERVING, Condition.READY)
    return [State(Condition.ACCEPTED, False, reason, message), *(State(condition, False, reason, message) for condition in rest)]


def _players_ready(sm: SecureModel, snapshot: Snapshot) -> State:
    waiting = {player.name: why for player in sm.players if (why := _waits_for(_pods_of(snapshot, "player", player.name)))}
    if not waiting:
        return State(Condition.PLAYERS_READY, True, Reason.PLAYERS_READY, "all three players are running")
    message = "; ".join(f"{name}: {why}" for name, why in waiting.items())
    return State(Condition.PLAYERS_READY, False, Reason.PLAYERS_STARTING, message)


def _waits_for(pods: list[Object]) -> str | None:
    """Why a player's pod is not ready, in one line; None if it is."""
    if not pods:
        return "no pod yet"
    status = pods[0].get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    if conditions.get("Ready", {}).get("status") == "True" and "deletionTimestamp" not in pods[0]["metadata"]:
        return None
    for container in status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") != "ContainerCreating":
            return f"{waiting.get('reason')}: {waiting.get('message', '')}".strip(": ")
    unscheduled = conditions.get("PodScheduled", {})
    if unscheduled.get("status") == "False":
        return f"{unscheduled.get('reason', 'Unschedulable')}: {unscheduled.get('message', '')}"
    return "starting"


def _model_shared(sm: SecureModel, snapshot: Snapshot) -> State:
    digest = agreed(sm, snapshot, "digest")
    if digest and agreed(sm, snapshot, "generation"):
        return State(Condition.MODEL_SHARED, True, Reason.SHARED, f"all three players hold shares of program {digest[:12]}")
    if snapshot.missing_reference:
        return State(Condition.MODEL_SHARED, False, *snapshot.missing_reference)
    if snapshot.jobs:
        job = max(snapshot.jobs, key=attempt_of)
        outcome = job_outcome(job, snapshot)
        if outcome is None:
            pods = _pods_of(snapshot, "share", job["metadata"]["name"])
            why = (_waits_for(pods) if pods else None) or "running"
            return State(Condition.MODEL_SHARED, False, Reason.SHARING, f"the share Job {job['metadata']['name']} is at work ({why})")
        if not outcome.succeeded:
            wait = min(FIRST_RETRY_S * 2 ** (attempt_of(job) - 1), LAST_RETRY_S)
            then = (
                f" (tried again {wait} s after the failure)"
                if outcome.retryable
                else " (not tried again: delete this SecureModel, correct it and create it anew)"
            )
            return State(Condition.MODEL_SHARED, False, outcome.reason, outcome.message + then)
    return State(Condition.MODEL_SHARED, False, Reason.SHARING, "waiting for the players to report their shares")


def _serving(sm: SecureModel, snapshot: Snapshot) -> State:
    silent = [player.name for player in sm.players if not snapshot.players.get(player.name)]
    if silent:
        return State(Condition.SERVING, False, Reason.NOT_REACHABLE, f"{' and '.join(silent)} did not answer on the health port yet")
    for player in sm.players:
        report = snapshot.players[player.name]
        if not report.get("ready"):
            return State(Condition.SERVING, False, from_player(report.get("reason")), f"{player.name}: {report.get('message', 'not ready')}")
    return State(Condition.SERVING, True, Reason.SERVING, "the three players are linked and hold the same shares")


def player_statuses(sm: SecureModel, snapshot: Snapshot) -> list[Object]:
    """What goes to status.players; an unanswered question leaves fields out."""
    statuses = []
    for player in sm.players:
        report = snapshot.players.get(player.name) or {}
        shown = {name: report[name] for name in ("reason", "digest", "generation", "epoch") if report.get(name)}
        statuses.append({"name": player.name, "role": player.role, "ready": bool(report.get("ready")), **shown})
    return statuses
