"""Snapshot in, plan out. Pure: no clock, no randomness, no client.

Every decision of the operator is made here or in `assess`.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime

from . import builders, names, pki
from .builders import Object
from .conditions import State
from .drift import covers
from .reasons import Condition, Reason, final, reported
from .settings import Settings
from .spec.model import SecureModel

FIRST_RETRY_S = 10
LAST_RETRY_S = 300
# players that lost their shares are given this long to load them from their volumes
SHARES_GRACE_S = 20

Key = tuple[str, str]

# what the API server refuses to change
CLAIM_FIELDS = ("accessModes", "resources", "storageClassName")
SET_FIELDS = ("podManagementPolicy", "selector", "serviceName", "volumeClaimTemplates")


def key(obj: Object) -> Key:
    return obj["kind"], obj["metadata"]["name"]


@dataclass(frozen=True)
class Snapshot:
    """What there is.

    Children and wanted names by (kind, name), Jobs and Pods of this model, what each player says of
    itself, and the references of the spec.
    """

    live: dict[Key, Object] = field(default_factory=dict)
    jobs: list[Object] = field(default_factory=list)
    pods: list[Object] = field(default_factory=list)
    players: dict[str, Object] = field(default_factory=dict)
    missing_reference: tuple[Reason, str] | None = None
    # the digest in the status: set once all three players had shares
    known_digest: str | None = None


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
        and not _adoptable(sm, obj)
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


def _adoptable(sm: SecureModel, obj: Object) -> bool:
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
    """Holders whose certificate is missing, broken, of another CA or about to end.

    They are "ca", players' names and "share". A new CA makes all others stale.
    """

    def values(name: str) -> dict[str, str]:
        return secret_values(snapshot.live.get(("Secret", name)))

    def issued(own: dict[str, str]) -> pki.Issued:
        return pki.Issued(certificate=own.get("tls.crt", ""), key=own.get("tls.key", ""))

    ca = issued(values(sm.names.ca_secret()))
    if pki.ca_problem(ca, now):
        return ["ca", *subjects(sm)]
    stale = []
    for holder, subject in subjects(sm).items():
        own = values(sm.names.tls_secret(holder))
        problem = pki.problem(issued(own), ca, subject, now)
        if problem or own.get("ca.crt") != ca.certificate:
            stale.append(holder)
    return stale


def subjects(sm: SecureModel) -> dict[str, names.Subject]:
    """Whom certificates are issued to, by holder: the players' names, and share."""
    players = {
        player.name: sm.names.seat_subject(player.seat, player.role) for player in sm.players
    }
    return players | {names.SHARE: sm.names.share_subject()}


def plan(
    sm: SecureModel,
    snapshot: Snapshot,
    certificates: Certificates,
    settings: Settings,
    now: datetime,
) -> Plan:
    """What to change so that the cluster is as the spec says."""
    wanted = [
        builders.cluster_config(sm),
        builders.client_config(sm, certificates.ca, digest(sm, snapshot)),
        builders.headless_service(sm),
    ]
    for player in sm.players:
        if player.serves_clients:
            wanted.append(builders.client_service(sm, player))
        wanted.append(_as_made(snapshot, builders.claim(sm, player, settings), CLAIM_FIELDS))
        wanted.append(
            _as_made(
                snapshot,
                builders.stateful_set(sm, player, certificates.leaves[player.name], settings),
                SET_FIELDS,
            )
        )
    apply = [obj for obj in wanted if not covers(snapshot.live.get(key(obj)), obj)]
    jobs = sorted(snapshot.jobs, key=attempt_of)
    create = []
    if (
        snapshot.missing_reference is None
        and (attempt := next_attempt(sm, snapshot, now)) is not None
    ):
        create.append(builders.share_job(sm, attempt, settings))
    return Plan(apply, create, [key(job) for job in jobs[:-1]])


def _as_made(snapshot: Snapshot, wanted: Object, fields: tuple[str, ...]) -> Object:
    """With the fields that cannot be changed as they were made.

    Other settings are for new objects.
    """
    live = snapshot.live.get(key(wanted))
    if live is None:
        return wanted
    spec = {name: value for name, value in wanted["spec"].items() if name not in fields}
    return {
        **wanted,
        "spec": spec
        | {name: live["spec"][name] for name in fields if name in live.get("spec", {})},
    }


def attempt_of(job: Object) -> int:
    text = job["metadata"].get("annotations", {}).get(names.ATTEMPT_ANNOTATION, "0")
    return int(text) if text.isdigit() else 0


def agreed(sm: SecureModel, snapshot: Snapshot, what: str) -> str | None:
    """What all three players report alike (digest, generation); None if they do not."""
    reported = {(snapshot.players.get(player.name) or {}).get(what) for player in sm.players}
    only = reported.pop() if len(reported) == 1 else None
    return str(only) if only else None


def digest(sm: SecureModel, snapshot: Snapshot) -> str | None:
    """Of the program that all three players accepted; a restart does not make it unknown."""
    return agreed(sm, snapshot, "digest") or snapshot.known_digest


def next_attempt(sm: SecureModel, snapshot: Snapshot, now: datetime) -> int | None:
    """The number of the share Job to make now; None: no new one."""
    if agreed(sm, snapshot, "generation"):
        return None
    everybody = all(snapshot.players.get(player.name) for player in sm.players)
    if not snapshot.jobs:
        # with the Job gone too, only the players can say that a model that was shared is so no more
        return 1 if everybody or not snapshot.known_digest else None
    job = max(snapshot.jobs, key=attempt_of)
    attempt = attempt_of(job)
    outcome = job_outcome(job, snapshot)
    if outcome is None:
        return None
    ended = (now - outcome.at).total_seconds()
    if outcome.succeeded:
        # shared, and a player that answers has nothing, or something else: its volume was lost
        return attempt + 1 if everybody and ended > SHARES_GRACE_S else None
    wait = min(FIRST_RETRY_S * 2 ** (attempt - 1), LAST_RETRY_S)
    return attempt + 1 if outcome.retryable and ended > wait else None


@dataclass(frozen=True)
class Outcome:
    """How a share Job ended."""

    succeeded: bool
    at: datetime
    reason: str
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
            said = condition.get("message", condition.get("reason", ""))
            why = f"the share Job {job['metadata']['name']} failed without a result: {said}"
            return Outcome(False, at, Reason.SHARE_JOB_FAILED, why, retryable=True)
        said = str(result.get("message", ""))[:1000]
        reason, message = reported(result.get("reason"), said, "share", Reason.SHARE_JOB_FAILED)
        retryable = bool(result.get("retryable")) and not final(reason)
        return Outcome(False, at, reason, message, retryable=retryable)
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
    label = names.JOB_LABEL if component == "share" else names.PLAYER_LABEL
    return [pod for pod in snapshot.pods if pod["metadata"].get("labels", {}).get(label) == name]


def assess(sm: SecureModel, snapshot: Snapshot, refused: str | None = None) -> list[State]:
    """All conditions but Accepted's refusals, from what was seen.

    `refused`: what the API server said to an object of ours.
    """
    players, shared, serving = (
        _players_ready(sm, snapshot),
        _model_shared(sm, snapshot),
        _serving(sm, snapshot),
    )
    if refused:
        players = State(
            Condition.PLAYERS_READY,
            False,
            Reason.APPLY_FAILED,
            f"the API server refuses an object of this model: {refused}",
        )
    states = [
        State(Condition.ACCEPTED, True, Reason.ACCEPTED, "the spec is valid"),
        players,
        shared,
        serving,
    ]
    failing = next((state for state in states if not state.status), None)
    ready = State(Condition.READY, True, Reason.READY, "private predictions are answered")
    if failing:
        ready = State(Condition.READY, False, failing.reason, failing.message)
    return [*states, ready]


def refuse(reason: Reason, message: str) -> list[State]:
    """The conditions of a SecureModel that is not accepted: nothing is made for it."""
    rest = (Condition.PLAYERS_READY, Condition.MODEL_SHARED, Condition.SERVING, Condition.READY)
    return [
        State(Condition.ACCEPTED, False, reason, message),
        *(State(condition, False, reason, message) for condition in rest),
    ]


def _players_ready(sm: SecureModel, snapshot: Snapshot) -> State:
    waiting = {
        player.name: why
        for player in sm.players
        if (why := _waits_for(_pods_of(snapshot, "player", player.name)))
    }
    if not waiting:
        return State(
            Condition.PLAYERS_READY, True, Reason.PLAYERS_READY, "all three players are running"
        )
    message = "; ".join(f"{name}: {why}" for name, why in waiting.items())
    return State(Condition.PLAYERS_READY, False, Reason.PLAYERS_STARTING, message)


def _waits_for(pods: list[Object]) -> str | None:
    """Why a player's pod is not ready, in one line; None if it is."""
    if not pods:
        return "no pod yet"
    status = pods[0].get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    if (
        conditions.get("Ready", {}).get("status") == "True"
        and "deletionTimestamp" not in pods[0]["metadata"]
    ):
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
    known = digest(sm, snapshot)
    if known and agreed(sm, snapshot, "generation"):
        return State(
            Condition.MODEL_SHARED,
            True,
            Reason.SHARED,
            f"all three players hold shares of program {known[:12]}",
        )
    if known and _silent_ones_may_have_theirs(sm, snapshot, known):
        return State(
            Condition.MODEL_SHARED,
            True,
            Reason.SHARED,
            f"the players were given shares of program {known[:12]}; not all answer now",
        )
    if snapshot.missing_reference:
        return State(Condition.MODEL_SHARED, False, *snapshot.missing_reference)
    if snapshot.jobs:
        job = max(snapshot.jobs, key=attempt_of)
        outcome = job_outcome(job, snapshot)
        if outcome is None:
            pods = _pods_of(snapshot, "share", job["metadata"]["name"])
            why = (_waits_for(pods) if pods else None) or "running"
            return State(
                Condition.MODEL_SHARED,
                False,
                Reason.SHARING,
                f"the share Job {job['metadata']['name']} is at work ({why})",
            )
        if not outcome.succeeded:
            wait = min(FIRST_RETRY_S * 2 ** (attempt_of(job) - 1), LAST_RETRY_S)
            then = (
                f" (tried again {wait} s after the failure)"
                if outcome.retryable
                else " (not tried again: delete this SecureModel, correct it and create it anew)"
            )
            return State(Condition.MODEL_SHARED, False, outcome.reason, outcome.message + then)
    return State(
        Condition.MODEL_SHARED,
        False,
        Reason.SHARING,
        "waiting for the players to report their shares",
    )


def _silent_ones_may_have_theirs(sm: SecureModel, snapshot: Snapshot, known: str) -> bool:
    """Shares are on the players' volumes: a restart does not lose them."""
    reports = [report for player in sm.players if (report := snapshot.players.get(player.name))]
    same = len({report.get("generation") for report in reports}) <= 1
    return (
        len(reports) < len(sm.players)
        and same
        and all(report.get("digest") == known for report in reports)
    )


def _serving(sm: SecureModel, snapshot: Snapshot) -> State:
    silent = [player.name for player in sm.players if not snapshot.players.get(player.name)]
    if silent:
        return State(
            Condition.SERVING,
            False,
            Reason.NOT_REACHABLE,
            f"{' and '.join(silent)} did not answer on the health port yet",
        )
    for player in sm.players:
        report = snapshot.players[player.name]
        if not report.get("ready"):
            said = f"{player.name}: {report.get('message', 'not ready')}"
            told = reported(report.get("reason"), said, "player", Reason.NOT_REACHABLE)
            return State(Condition.SERVING, False, *told)
    return State(
        Condition.SERVING,
        True,
        Reason.SERVING,
        "the three players are linked and hold the same shares",
    )


def player_statuses(sm: SecureModel, snapshot: Snapshot) -> list[Object]:
    """What goes to status.players; an unanswered question leaves fields out."""
    statuses = []
    for player in sm.players:
        report = snapshot.players.get(player.name) or {}
        shown = {
            name: report[name]
            for name in ("reason", "digest", "generation", "epoch")
            if report.get(name)
        }
        statuses.append(
            {"name": player.name, "role": player.role, "ready": bool(report.get("ready")), **shown}
        )
    return statuses
