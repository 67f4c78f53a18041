"""From a stored model to a compiled one: the half of the share step that opens model files, and
holds no keys.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from .compile import Compiled, Wanted, compile_model
from .compiled import CompiledFolder
from .npy import read_rows
from .precision import rounded_up
from .readers import read_model
from .request import Artifact, Request
from .sources import check_sha256, fetch
from .steps import Steps

Result = dict[str, Any]
# the share Job has 600 s for everything
COMPILE_S = 480
# of a layer: a termination message holds 4096 bytes in all
LONGEST_NAME = 200


def compile_artifact(given: Request, steps: Steps) -> tuple[CompiledFolder, Result]:
    """The compiled model, and what the termination message says of it.

    Raises:
        ShareError: a step failed.
    """
    wanted = _wanted(given)
    with steps.step("fetch", "fetching the artifact"):
        data = _fetch(given.model, given)
        architecture = _fetch(given.architecture, given) if given.architecture else None
        rows = _fetch(given.calibration, given) if given.calibration else None
    with steps.step("read", "reading the model"):
        model = read_model(data, architecture)
        wanted = wanted if rows is None else replace(wanted, calibration=read_rows(rows))
    with (
        steps.step("compile", f"compiling {len(model.layers)} layers"),
        steps.within(COMPILE_S),
    ):
        compiled = compile_model(model, wanted, steps.say)
        program = compiled.program
        made = CompiledFolder(program=program.encode(), weights=program.fixed_weights())
    return made, _result(compiled, made)


def _wanted(given: Request) -> Wanted:
    """Raises ShareError for what the compiler would not take, before anything is fetched."""
    return Wanted(
        low=given.low,
        high=given.high,
        labels=given.labels,
        ranges=given.ranges,
        tolerance=given.tolerance,
    )


def _result(compiled: Compiled, made: CompiledFolder) -> Result:
    ranges, precision = compiled.ranges, compiled.precision
    return {
        "digest": compiled.program.digest,
        "parameters": made.parameters,
        "ranges": {
            "kind": ranges.kind,
            "source": ranges.source,
            "margin": _at_least(ranges.margin),
            "layer": ranges.layer[:LONGEST_NAME],
        },
        "precision": {
            "error": rounded_up(precision.error),
            "relative": rounded_up(precision.relative),
        },
    }


def _at_least(value: float) -> float | None:
    """The power of two below: digits would say something of the weights. JSON has no infinity."""
    return 2.0 ** math.floor(math.log2(value)) if 0 < value < math.inf else None


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
