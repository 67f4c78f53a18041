"""Pure builders: a SecureModel's children as plain objects."""

from __future__ import annotations

import base64
import hashlib
import json

from . import names
from .objects import Object
from .pki import Issued
from .settings import Settings
from .spec.model import Player, SecureModel
from .spec.sources import MODEL_DIR

USER = 65532
GRACE_S = 5
SHARE_DEADLINE_S = 600
CLUSTER_DIR = "/etc/securemodel/cluster"
TLS_DIR = "/etc/securemodel/tls"


def _metadata(sm: SecureModel, name: str, component: str, player: str | None = None) -> Object:
    return {
        "name": name,
        "namespace": sm.namespace,
        "labels": sm.names.labels(component, player),
        "ownerReferences": [sm.owner],
    }


def ca_secret(sm: SecureModel, ca: Issued) -> Object:
    """The CA's key, to renew certificates with. No pod mounts it."""
    return _tls_secret(sm, sm.names.ca_secret(), ca, ca.certificate)


def leaf_secret(sm: SecureModel, holder: str, issued: Issued, ca: str) -> Object:
    return _tls_secret(sm, sm.names.tls_secret(holder), issued, ca)


def _tls_secret(sm: SecureModel, name: str, issued: Issued, ca: str) -> Object:
    data = {"ca.crt": ca, "tls.crt": issued.certificate, "tls.key": issued.key}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": _metadata(sm, name, "certificate"),
        "data": encoded,
    }


def cluster_config(sm: SecureModel) -> Object:
    """TF Encrypted's RemoteConfig form: player -> host:port, in the order of the roles."""
    hosts = {p.name: f"{sm.names.seat_host(p.seat)}:{names.TLS_PORT}" for p in sm.players}
    data = {"cluster.json": json.dumps(hosts, indent=2) + "\n"}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(sm, sm.names.cluster_config(), "cluster"),
        "data": data,
    }


def client_config(sm: SecureModel, ca: str, digest: str | None) -> Object:
    """What a client needs: who the players are and the CA that they are verified with."""
    players = {
        p.name: {
            "role": p.role,
            "service": sm.names.client_host(p.name),
            "pod": sm.names.pod(p.seat),
            "port": names.TLS_PORT,
        }
        for p in sm.players
        if p.serves_clients
    }
    client = {
        "model": sm.name,
        "namespace": sm.namespace,
        "protocol": sm.protocol,
        "digest": digest,
        "players": players,
    }
    data = {"ca.crt": ca, "client.json": json.dumps(client, indent=2) + "\n"}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(sm, sm.names.client_config(), "client"),
        "data": data,
    }


def headless_service(sm: SecureModel) -> Object:
    """Stable names.

    They resolve before a player is ready: players become ready by finding each other.
    """
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {names.MODEL_LABEL: sm.name, names.COMPONENT_LABEL: "player"},
        "ports": [
            {
                "name": "tls",
                "port": names.TLS_PORT,
                "targetPort": names.TLS_PORT,
                "protocol": "TCP",
            },
            {
                "name": "health",
                "port": names.HEALTH_PORT,
                "targetPort": names.HEALTH_PORT,
                "protocol": "TCP",
            },
        ],
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(sm, sm.names.headless_service(), "player"),
        "spec": spec,
    }


def client_service(sm: SecureModel, player: Player) -> Object:
    spec = {
        "type": "ClusterIP",
        "selector": {names.MODEL_LABEL: sm.name, names.PLAYER_LABEL: player.name},
        "ports": [
            {
                "name": "tls",
                "port": names.TLS_PORT,
                "targetPort": names.TLS_PORT,
                "protocol": "TCP",
            }
        ],
    }
    metadata = _metadata(sm, sm.names.client_service(player.name), "player", player.name)
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def claim(sm: SecureModel, player: Player, settings: Settings) -> Object:
    """Made before the StatefulSet that would make it: it has its owner from the start."""
    metadata = _metadata(sm, sm.names.claim(player.seat), "player", player.name)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": _claim_spec(settings),
    }


def _claim_spec(settings: Settings) -> Object:
    spec: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": settings.volume_size}},
    }
    return spec | ({"storageClassName": settings.storage_class} if settings.storage_class else {})


def _pod(settings: Settings) -> Object:
    pod: Object = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": GRACE_S,
    }
    return pod | (
        {"imagePullSecrets": [{"name": name} for name in settings.pull_secrets]}
        if settings.pull_secrets
        else {}
    )


def _container(
    name: str,
    image: str,
    args: list[str],
    resources: Object,
    mounts: list[Object],
    settings: Settings,
) -> Object:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": settings.pull_policy,
        "args": args,
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def _mount(name: str, path: str, *, read_only: bool = True) -> Object:
    return {"name": name, "mountPath": path} | ({"readOnly": True} if read_only else {})


def _configuration(sm: SecureModel, holder: str) -> list[Object]:
    return [
        {"name": "cluster", "configMap": {"name": sm.names.cluster_config()}},
        {
            "name": "tls",
            "secret": {"secretName": sm.names.tls_secret(holder), "defaultMode": 0o440},
        },
    ]


def stateful_set(sm: SecureModel, player: Player, certificate: str, settings: Settings) -> Object:
    """One player.

    The certificate's hash is in the pod template, so that a new certificate starts a new pod.
    """
    labels = sm.names.labels("player", player.name)
    args = [
        "--player", player.name, "--cluster", f"{CLUSTER_DIR}/cluster.json", "--tls", TLS_DIR,
        "--data", "/data",
        "--max-rows", str(sm.batching.max_rows), "--batch-delay-ms", str(sm.batching.max_delay_ms),
    ]  # fmt: skip
    mounts = [
        _mount("cluster", CLUSTER_DIR),
        _mount("tls", TLS_DIR),
        _mount("data", "/data", read_only=False),
    ]
    container = _container(
        "player", settings.player_image, args, settings.player_resources, mounts, settings
    )
    container["ports"] = [
        {"name": "tls", "containerPort": names.TLS_PORT, "protocol": "TCP"},
        {"name": "health", "containerPort": names.HEALTH_PORT, "protocol": "TCP"},
    ]
    container["readinessProbe"] = {
        "httpGet": {"path": "/readyz", "port": "health"},
        "periodSeconds": 1,
        "failureThreshold": 3,
    }
    container["livenessProbe"] = {
        "httpGet": {"path": "/healthz", "port": "health"},
        "periodSeconds": 10,
        "timeoutSeconds": 5,
        "failureThreshold": 3,
    }
    template = {
        "metadata": {
            "labels": labels,
            "annotations": {
                names.CERTIFICATE_ANNOTATION: hashlib.sha256(certificate.encode()).hexdigest()[:16]
            },
        },
        "spec": {
            **_pod(settings),
            "containers": [container],
            "volumes": _configuration(sm, player.name),
        },
    }
    spec = {
        "replicas": 1,
        "serviceName": sm.names.headless_service(),
        "podManagementPolicy": "Parallel",
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "selector": {"matchLabels": {names.MODEL_LABEL: sm.name, names.PLAYER_LABEL: player.name}},
        "template": template,
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": _claim_spec(settings)}],
    }
    metadata = _metadata(sm, sm.names.stateful_set(player.name), "player", player.name)
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}


def share_job(sm: SecureModel, attempt: int, settings: Settings) -> Object:
    """One attempt of the share step.

    It is made once and never changed, so each has a name of its own, short enough for the longest
    model name.
    """
    args = [
        "--sha256", sm.model.sha256, "--protocol", sm.protocol,
        "--input-bound", sm.model.input_bound,
        "--cluster", f"{CLUSTER_DIR}/cluster.json", "--tls", TLS_DIR,
        "--termination-message", "/dev/termination-log",
    ]  # fmt: skip
    volumes = [*_configuration(sm, names.SHARE), {"name": "tmp", "emptyDir": {}}]
    mounts = [
        _mount("cluster", CLUSTER_DIR),
        _mount("tls", TLS_DIR),
        _mount("tmp", "/tmp", read_only=False),  # noqa: S108 - the pod's own
    ]
    artifact = sm.model.artifact
    args += ["--model", artifact.location]
    if artifact.volume:
        volumes.append({"name": "model", **artifact.volume})
        mounts.append(_mount("model", MODEL_DIR))
    if bundle := sm.model.ca_bundle:
        args += ["--ca-bundle", "/etc/securemodel/ca/ca.crt"]
        volumes.append(
            {
                "name": "ca",
                "configMap": {
                    "name": bundle.name,
                    "items": [{"key": bundle.key, "path": "ca.crt"}],
                },
            }
        )
        mounts.append(_mount("ca", "/etc/securemodel/ca"))
    if secret := sm.model.credentials_secret:
        args += ["--credentials-dir", "/etc/securemodel/credentials"]
        volumes.append(
            {"name": "credentials", "secret": {"secretName": secret, "defaultMode": 0o440}}
        )
        mounts.append(_mount("credentials", "/etc/securemodel/credentials"))
    labels = sm.names.labels("share")
    container = _container(
        "share", settings.share_image, args, settings.share_resources, mounts, settings
    )
    template = {
        "metadata": {"labels": labels},
        "spec": {
            **_pod(settings),
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": volumes,
        },
    }
    spec = {"backoffLimit": 0, "activeDeadlineSeconds": SHARE_DEADLINE_S, "template": template}
    key = hashlib.sha256(json.dumps([sm.uid, attempt], sort_keys=True).encode()).hexdigest()[:6]
    metadata = _metadata(sm, sm.names.share_job(key), "share")
    metadata["annotations"] = {names.ATTEMPT_ANNOTATION: str(attempt)}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
