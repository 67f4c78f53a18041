"""A player: its volume and its StatefulSet."""

from __future__ import annotations

import hashlib

from securemodel_operator import names
from securemodel_operator.objects import Object
from securemodel_operator.settings import Settings
from securemodel_operator.spec.model import Player, SecureModel

from .child import Child, Materials
from .pod import CONFIGURATION_ARGS, Mount, configuration, container, pod

DATA_DIR = "/data"
# what the API server refuses to change
CLAIM_FIXED = ("accessModes", "resources", "storageClassName")
SET_FIXED = ("podManagementPolicy", "selector", "serviceName", "volumeClaimTemplates")


def claim(sm: SecureModel, player: Player) -> Child:
    """Made before the StatefulSet that would make it: it has its owner from the start."""
    return Child(
        kind="PersistentVolumeClaim",
        name=sm.names.claim(player.seat),
        component="player",
        player=player.name,
        content=lambda materials: {"spec": _claim_spec(materials.settings)},
        fixed=CLAIM_FIXED,
    )


def stateful_set(sm: SecureModel, player: Player) -> Child:
    return Child(
        kind="StatefulSet",
        name=sm.names.stateful_set(player.name),
        component="player",
        player=player.name,
        content=lambda materials: {"spec": _set_spec(sm, player, materials)},
        fixed=SET_FIXED,
    )


def _claim_spec(settings: Settings) -> Object:
    spec: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": settings.volume_size}},
    }
    return spec | ({"storageClassName": settings.storage_class} if settings.storage_class else {})


def _set_spec(sm: SecureModel, player: Player, materials: Materials) -> Object:
    template = {
        "metadata": {
            "labels": sm.names.labels("player", player.name),
            "annotations": _annotations(materials.certificates.leaves[player.name].certificate),
        },
        "spec": _pod(sm, player, materials.settings),
    }
    return {
        "replicas": 1,
        "serviceName": sm.names.headless_service(),
        "podManagementPolicy": "Parallel",
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "selector": {"matchLabels": {names.MODEL_LABEL: sm.name, names.PLAYER_LABEL: player.name}},
        "template": template,
        "volumeClaimTemplates": [
            {"metadata": {"name": "data"}, "spec": _claim_spec(materials.settings)}
        ],
    }


def _annotations(certificate: str) -> dict[str, str]:
    """Part of the template, so that a new certificate starts a new pod."""
    digest = hashlib.sha256(certificate.encode()).hexdigest()
    return {names.CERTIFICATE_ANNOTATION: digest[:16]}


def _pod(sm: SecureModel, player: Player, settings: Settings) -> Object:
    data = Mount(name="data", path=DATA_DIR, read_only=False)
    mounts = [*configuration(sm, player.name), data]
    process = container(
        name="player",
        image=settings.player_image,
        args=_args(sm, player),
        resources=settings.player_resources,
        mounts=mounts,
        settings=settings,
    )
    process["ports"] = [
        {"name": "tls", "containerPort": names.TLS_PORT, "protocol": "TCP"},
        {"name": "health", "containerPort": names.HEALTH_PORT, "protocol": "TCP"},
    ]
    return pod(process | _probes(), mounts, settings)


def _probes() -> Object:
    """Ready: it listens. Alive: it answers, if slowly."""
    ready = {"httpGet": {"path": "/readyz", "port": "health"}, "periodSeconds": 1}
    alive = {"httpGet": {"path": "/healthz", "port": "health"}, "periodSeconds": 10}
    return {
        "readinessProbe": {**ready, "failureThreshold": 3},
        "livenessProbe": {**alive, "timeoutSeconds": 5, "failureThreshold": 3},
    }


def _args(sm: SecureModel, player: Player) -> list[str]:
    batching = sm.batching
    return [
        "--player", player.name, *CONFIGURATION_ARGS, "--data", DATA_DIR,
        "--max-rows", str(batching.max_rows), "--batch-delay-ms", str(batching.max_delay_ms),
    ]  # fmt: skip
