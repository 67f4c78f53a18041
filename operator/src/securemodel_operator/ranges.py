"""Why no value of a model leaves the range in which the protocol computes right: what the share
step found, as the status shows it and as users read it.
"""

from __future__ import annotations

import math

from .attempts import compiled, last_job
from .objects import Object
from .seen import Seen

CALIBRATED = "Calibrated"
MAX_TEXT = 256


def ranges(seen: Seen) -> Object | None:
    """As the last share Job found them; a Job that is gone leaves what the status said before."""
    job = last_job(seen)
    found = (compiled(job, seen) or {}).get("ranges") if job else None
    return _shown(found) if isinstance(found, dict) else seen.known_ranges


def words(found: Object | None) -> str:
    """For a message, after other words; nothing of a model that was shared before ranges were
    told.
    """
    if not found or "kind" not in found:
        return ""
    source = f" ({found['source']})" if "source" in found else ""
    where = _where(found) if found["kind"] == CALIBRATED else ""
    return f"; ranges {found['kind'].lower()}{source}{where}"


def _where(found: Object) -> str:
    """Of a proof the margin does not matter."""
    if "margin" not in found:
        return ""
    return f", margin {found['margin']:g} at layer {found.get('layer', '')!r}"


def _shown(found: Object) -> Object:
    """What there is of the four fields: what does not apply is left out."""
    texts = {name: found.get(name) for name in ("kind", "source", "layer")}
    shown = {name: value[:MAX_TEXT] for name, value in texts.items() if isinstance(value, str)}
    margin = found.get("margin")
    known = isinstance(margin, (int, float)) and math.isfinite(margin)
    return shown | ({"margin": margin} if known else {})
