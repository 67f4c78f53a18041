"""From a stored model to a compiled one: the half of the share step that opens model files, and
holds no keys.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from .compiled import CompiledFolder
from .lowering import check
from .readers import read_model
from .request import Artifact, Request
from .sources import check_sha256, fetch
from .steps import Steps

Result = dict[str, Any]


def compile_artifact(given: Request, steps: Steps) -> tuple[CompiledFolder, Result]:
    """The compiled model, and what the termination message says of it.

    Raises:
        ShareError: a step failed.
    """
    with steps.step("fetch", "fetching the artifact"):
        data = _fetch(given.model, given)
    with steps.step("read", "reading the model"):
        model = read_model(data)
        check(model)

    # imports TensorFlow, which takes seconds; bad artifacts are refused before
    with steps.step("load", "loading TF Encrypted"):
        from . import compile as compiler  # noqa: PLC0415
    with steps.step("compile", f"compiling {len(model.layers)} layers"):
        program = compiler.compile_model(model, max(-given.low, given.high))
        made = CompiledFolder(program=program.encode(), weights=program.fixed_weights())
    digest = hashlib.sha256(made.program).hexdigest()
    return made, {"digest": digest, "parameters": made.parameters}


def _fetch(artifact: Artifact, given: Request) -> bytes:
    """Its bytes, with the right SHA-256. Credentials are for the server of the model alone."""
    source = replace(given.source, field=artifact.field)
    if _server(artifact.uri) != _server(given.model.uri):
        source = replace(source, authorization=None)
    data = fetch(artifact.uri, source)
    check_sha256(data, artifact.sha256, artifact.field)
    return data


def _server(uri: str) -> str:
    """Host and port; "" for a path, and for a URI that cannot be fetched anyway."""
    try:
        return urlsplit(uri).netloc
    except ValueError:
        return ""
