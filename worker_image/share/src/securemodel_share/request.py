"""What an owner asks for, as values: which files, and what is said beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .sources import Source


def labels(text: str) -> tuple[str, ...]:
    """Names of classes, as the command lines take them.

    Raises:
        ValueError: it is not a JSON list of strings.
    """
    try:
        found = json.loads(text)
    except RecursionError:
        found = None
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        raise ValueError("labels are a JSON list of strings")
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file that the spec names: where it lies and its SHA-256; `field` of the spec has both."""

    uri: str
    sha256: str
    field: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be compiled, and how to come by it.

    low, high: of the values that a client may send.
    architecture: the model's, where its file holds weights alone.
    calibration: rows to measure ranges on.
    ranges, tolerance: as the compiler takes them (compile.py).
    """

    model: Artifact
    source: Source
    low: float
    high: float
    architecture: Artifact | None = None
    calibration: Artifact | None = None
    labels: tuple[str, ...] = ()
    ranges: str = "Calibrated"
    tolerance: float | None = None
