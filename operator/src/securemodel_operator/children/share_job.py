"""The share Job: one attempt of the share step.

Its pod has two containers: `compile` opens the model file and holds no keys, then `share`, which
holds the share certificate, delivers what the first one left and never sees the file.
It is made once and never changed, so each attempt has a name of its own, short enough for the
longest model name. That is why it is not in the list of children.
"""

from __future__ import annotations

import hashlib
import json

from securemodel_operator import names
from securemodel_operator.objects import Object
from securemodel_operator.spec.model import MODEL, File, InputRange, ModelSource, SecureModel

from .child import Child, Materials
from .pod import CONFIGURATION_ARGS, Mount, configuration, container, pod, secret_volume

DEADLINE_S = 600
CA_DIR = "/etc/securemodel/ca"
CREDENTIALS_DIR = "/etc/securemodel/credentials"
COMPILED_DIR = "/compiled"
BOTH_ARGS = ("--compiled", COMPILED_DIR, "--termination-message", "/dev/termination-log")
# of 256 characters, four bytes each
LABELS = 100


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
    asked = [_base(sm), *(_file(file) for file in sm.model.files), _ca_bundle(sm), _credentials(sm)]
    mounts = [mount for _, more in asked for mount in more]
    keys = configuration(sm, names.SHARE)

    compiles = container(
        name=names.COMPILE,
        image=settings.share_image,
        args=["compile", *(arg for more, _ in asked for arg in more)],
        resources=settings.share_resources,
        mounts=[*mounts, _compiled(read_only=False)],
        settings=settings,
    )
    delivers = container(
        name=names.SHARE,
        image=settings.share_image,
        args=["deliver", "--protocol", sm.protocol, *CONFIGURATION_ARGS, *BOTH_ARGS],
        resources=settings.share_resources,
        mounts=[*keys, _compiled(read_only=True)],
        settings=settings,
    )
    volumes = [*keys, *mounts, _compiled(read_only=True)]
    template = {
        "metadata": {
            "labels": sm.names.labels(names.SHARE),
            "annotations": {names.CONTAINER_ANNOTATION: names.COMPILE},
        },
        "spec": pod(delivers, volumes, settings, restartPolicy="Never", initContainers=[compiles]),
    }
    return {"backoffLimit": 0, "activeDeadlineSeconds": DEADLINE_S, "template": template}


Part = tuple[list[str], list[Mount]]


def _compiled(*, read_only: bool) -> Mount:
    """What one container leaves for the other: weights in the clear, so it is on no disk."""
    own: Object = {"emptyDir": {"medium": "Memory"}}
    return Mount(name="compiled", path=COMPILED_DIR, source=own, read_only=read_only)


def _base(sm: SecureModel) -> Part:
    model = sm.model
    args = [*_inputs(model), "--ranges", model.ranges, *_labels(model.labels), *BOTH_ARGS]
    args += ["--tolerance", model.tolerance] if model.tolerance else []
    own: Object = {"emptyDir": {}}
    tmp = Mount(name="tmp", path="/tmp", source=own, read_only=False)  # noqa: S108 - the pod's own
    return args, [tmp]


def _inputs(model: ModelSource) -> list[str]:
    if isinstance(model.inputs, InputRange):
        return [f"--input-low={model.inputs.low}", f"--input-high={model.inputs.high}"]
    return ["--input-bound", model.inputs]


def _labels(labels: tuple[str, ...]) -> list[str]:
    """Lists of some each: Linux takes no argument of more than 128 KiB."""
    parts = [labels[at : at + LABELS] for at in range(0, len(labels), LABELS)]
    return [f"--labels={json.dumps(part, ensure_ascii=False)}" for part in parts]


def _file(file: File) -> Part:
    artifact = file.artifact
    sha256 = "--sha256" if file.name == MODEL else f"--{file.name}-sha256"
    mount = Mount(name=file.name, path=artifact.folder, source=artifact.volume)
    args = [f"--{file.name}", artifact.location, sha256, file.sha256]
    return args, [mount] if artifact.volume else []


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
