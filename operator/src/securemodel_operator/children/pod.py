"""What the pods of players and share step have in common: no privileges, and what they mount."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from securemodel_operator.objects import Object
from securemodel_operator.settings import Settings
from securemodel_operator.spec.model import SecureModel

USER = 65532
GRACE_S = 5
CLUSTER_DIR = "/etc/securemodel/cluster"
TLS_DIR = "/etc/securemodel/tls"
# where players and share step find who the players are, and their own certificate
CONFIGURATION_ARGS = ("--cluster", f"{CLUSTER_DIR}/cluster.json", "--tls", TLS_DIR)


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A volume and where it is seen; without a source the volume is of a claim template."""

    name: str
    path: str
    source: Object | None = None
    read_only: bool = True

    @property
    def volumes(self) -> list[Object]:
        return [{"name": self.name, **self.source}] if self.source else []

    @property
    def mount(self) -> Object:
        read_only = {"readOnly": True} if self.read_only else {}
        return {"name": self.name, "mountPath": self.path, **read_only}


def configuration(sm: SecureModel, holder: str) -> list[Mount]:
    """What CONFIGURATION_ARGS name; `holder`: whose certificate."""
    cluster = {"configMap": {"name": sm.names.cluster_config()}}
    tls = {"secret": secret_volume(sm.names.tls_secret(holder))}
    return [
        Mount(name="cluster", path=CLUSTER_DIR, source=cluster),
        Mount(name="tls", path=TLS_DIR, source=tls),
    ]


def secret_volume(name: str) -> Object:
    return {"secretName": name, "defaultMode": 0o440}


def container(
    *,
    name: str,
    image: str,
    args: list[str],
    resources: Object,
    mounts: list[Mount],
    settings: Settings,
) -> Object:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": settings.pull_policy,
        "args": [arg.replace("$", "$$") for arg in args],  # "$(NAME)" would be a variable
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [mount.mount for mount in mounts],
    }


def pod(container: Object, mounts: list[Mount], settings: Settings, **more: Any) -> Object:
    """A pod's spec; `mounts`: of all its containers, one each; `more`: further fields of it."""
    base: Object = {
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
    if settings.pull_secrets:
        base["imagePullSecrets"] = [{"name": name} for name in settings.pull_secrets]
    volumes = [volume for mount in mounts for volume in mount.volumes]
    return {**base, **more, "containers": [container], "volumes": volumes}
