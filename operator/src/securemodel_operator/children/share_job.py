"""The share Job: one attempt of the share step.

It is made once and never changed, so each attempt has a name of its own, short enough for the
longest model name. That is why it is not in the list of children.
"""

from __future__ import annotations

import hashlib
import json

from securemodel_operator import names
from securemodel_operator.objects import Object
from securemodel_operator.spec.model import SecureModel
from securemodel_operator.spec.sources import MODEL_DIR

from .child import Child, Materials
from .pod import CONFIGURATION_ARGS, Mount, configuration, container, pod, secret_volume

DEADLINE_S = 600
CA_DIR = "/etc/securemodel/ca"
CREDENTIALS_DIR = "/etc/securemodel/credentials"


def share_job(sm: SecureModel, attempt: int, materials: Materials) -> Object:
    key = hashlib.sha256(json.dumps([sm.uid, attempt], sort_keys=True).encode()).hexdigest()[:6]
    job = Child(
        kind="Job",
        name=sm.names.share_job(key),
        component=names.SHARE,
        content=lambda materials: {"spec": _spec(sm, materials)},
    )
    made = job.manifest(sm, materials, None)
    made["metadata"]["annotations"] = {names.ATTEMPT_ANNOTATION: str(attempt)}
    return made


def _spec(sm: SecureModel, materials: Materials) -> Object:
    settings = materials.settings
    args, mounts = _base(sm)
    for more_args, mount in (_artifact(sm), _ca_bundle(sm), _credentials(sm)):
        args += more_args
        mounts += mount

    process = container(
        name=names.SHARE,
        image=settings.share_image,
        args=args,
        resources=settings.share_resources,
        mounts=mounts,
        settings=settings,
    )
    template = {
        "metadata": {"labels": sm.names.labels(names.SHARE)},
        "spec": pod(process, mounts, settings, restartPolicy="Never"),
    }
    return {"backoffLimit": 0, "activeDeadlineSeconds": DEADLINE_S, "template": template}


Part = tuple[list[str], list[Mount]]


def _base(sm: SecureModel) -> Part:
    args = [
        "--sha256", sm.model.sha256, "--protocol", sm.protocol,
        "--input-bound", sm.model.input_bound, *CONFIGURATION_ARGS,
        "--termination-message", "/dev/termination-log",
    ]  # fmt: skip
    own: Object = {"emptyDir": {}}
    tmp = Mount(name="tmp", path="/tmp", source=own, read_only=False)  # noqa: S108 - the pod's own
    return args, [*configuration(sm, names.SHARE), tmp]


def _artifact(sm: SecureModel) -> Part:
    artifact = sm.model.artifact
    mount = Mount(name="model", path=MODEL_DIR, source=artifact.volume)
    return ["--model", artifact.location], [mount] if artifact.volume else []


def _ca_bundle(sm: SecureModel) -> Part:
    bundle = sm.model.ca_bundle
    if bundle is None:
        return [], []
    items = [{"key": bundle.key, "path": "ca.crt"}]
    source = {"configMap": {"name": bundle.name, "items": items}}
    return ["--ca-bundle", f"{CA_DIR}/ca.crt"], [Mount(name="ca", path=CA_DIR, source=source)]


def _credentials(sm: SecureModel) -> Part:
    secret = sm.model.credentials_secret
    if secret is None:
        return [], []
    mount = Mount(
        name="credentials", path=CREDENTIALS_DIR, source={"secret": secret_volume(secret)}
    )
    return ["--credentials-dir", CREDENTIALS_DIR], [mount]
