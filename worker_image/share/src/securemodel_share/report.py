"""What `securemodel check` says of a model that was compiled: for people, and for machines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .cost import PROTOCOLS, Cost, cost, count, stored
from .ir.ops import Weight
from .precision import decimal

if TYPE_CHECKING:
    from .compile import Compiled
    from .errors import Finding
    from .model import Model

BATCHES = (1, 32)
DELAY_MS = 20
# of a label or a message; of labels
SHOWN_LABELS = 8
PIXEL = 255.0


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What is known of a file. `compiled` of one that can be served; `data`: the owner's rows."""

    model: Model | None = None
    findings: tuple[Finding, ...] = ()
    compiled: Compiled | None = None
    data: np.ndarray | None = None


def document(checked: Checked) -> dict[str, Any]:
    """For machines."""
    found = [
        {"layer": f.layer or None, "reason": str(f.reason), "message": f.message}
        for f in checked.findings
    ]
    said: dict[str, Any] = {"servable": checked.compiled is not None, "findings": found}
    if checked.data is not None and (suggested := suggestion(checked.data)):
        said["suggested"] = suggested
    if checked.compiled and checked.model:
        said |= _compiled(checked.model, checked.compiled)
    return said


def _compiled(model: Model, compiled: Compiled) -> dict[str, Any]:
    ranges, precision, program = compiled.ranges, compiled.precision, compiled.program
    low, high = program.input_range
    return {
        "ranges": str(ranges),
        "rows": ranges.rows,
        "margin": _finite(ranges.margin),
        "margin_layer": ranges.layer,
        "margins": [
            {"layer": limit.layer, "what": limit.what, "margin": _finite(limit.margin)}
            for limit in ranges.by_layer.values()
        ],
        "precision": {
            "error": precision.error,
            "largest": precision.largest,
            "relative": precision.relative,
            "after_functions": precision.after,
            "rows": precision.rows,
        },
        "layers": [
            {"name": name, "kind": kind, "instructions": list(words)}
            for name, kind, words in becomes(model, compiled)
        ],
        "input": {"shape": list(model.input_shape), "low": low, "high": high},
        "output": {"shape": program.lines[-1]["shape"]},
        "public": program.public,
        "weights": _weights(compiled),
        "share_file_bytes": stored(program.lines),
        "costs": [_cost(found) for found in costs(compiled)],
        "digest": program.digest,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _weights(compiled: Compiled) -> int:
    return sum(value.size for value in compiled.program.weights.values())


def _cost(found: Cost) -> dict[str, Any]:
    return {
        "protocol": found.protocol,
        "batch": found.batch,
        "bytes": found.sent + found.client,
        "hops": found.hops,
        "memory_bytes": found.memory,
        "ms": round(found.ms, 3),
        f"ms_at_{DELAY_MS}_ms": round(found.ms_at(DELAY_MS), 3),
    }


def costs(compiled: Compiled) -> list[Cost]:
    """Of every protocol and some batches."""
    lines = compiled.program.lines
    return [cost(lines, protocol, batch) for protocol in PROTOCOLS for batch in BATCHES]


def becomes(model: Model, compiled: Compiled) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each layer's name and kind, and the instructions that it became."""
    lines = [i for i in compiled.program.instructions if not isinstance(i.op, Weight)]
    for layer in model.layers:
        yield layer.name, layer.kind, tuple(i.op.name for i in lines if i.layer == layer.name)


def suggestion(data: np.ndarray) -> dict[str, Any]:
    """The field of spec.model that holds all values of the data, rounded up."""
    if data.dtype.kind not in "fiub" or not data.size or not np.isfinite(data).all():
        return {}
    low, high = float(data.min()), float(data.max())
    if low >= 0:
        return {"inputRange": {"low": "0", "high": decimal(_rounded_up(high))}}
    return {"inputBound": decimal(_rounded_up(max(-low, high)))}


def _rounded_up(value: float) -> float:
    """To 1, 2 or 5 and zeros, or to the largest pixel: other data may be larger than these."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = sorted([PIXEL, *(step * power for step in (1, 2, 5, 10))])
    return next(step for step in steps if value <= step * (1 + 1e-6))


def text(checked: Checked, file: str) -> str:
    """For people."""
    lines = [*_verdict(checked, file)]
    if checked.compiled and checked.model:
        model, compiled = checked.model, checked.compiled
        lines += ["", *_layers(model, compiled), "", *_public(model, compiled)]
        lines += ["", *_ranges(compiled), "", *_precision(compiled), "", *_costs(compiled)]
    if checked.data is not None and (suggested := suggestion(checked.data)):
        lines += ["", *_data(checked.data, suggested)]
    return "\n".join(lines) + "\n"


def _verdict(checked: Checked, file: str) -> Iterator[str]:
    if checked.compiled:
        yield f"{file}: it can be served"
        return
    count = len(checked.findings)
    yield f"{file}: it cannot be served, {count} finding{'s' if count > 1 else ''}"
    for found in checked.findings:
        yield f"  {found.reason}: {found.message}"


def _layers(model: Model, compiled: Compiled) -> Iterator[str]:
    yield "Layers, and the instructions that each becomes"
    rows = [
        (name, kind, ", ".join(words) or "(nothing of its own)")
        for name, kind, words in becomes(model, compiled)
    ]
    yield from _table(rows)


def _public(model: Model, compiled: Compiled) -> Iterator[str]:
    program = compiled.program
    low, high = program.input_range
    functions = [_spelled(function) for function in program.public.get("functions", [])]
    labels = program.public.get("labels", [])
    shown = ", ".join(labels[:SHOWN_LABELS]) + (", ..." if len(labels) > SHOWN_LABELS else "")
    work = count(program.lines)
    yield "What becomes public"
    rows = [
        ("architecture", "the instructions above, with their shapes and constants"),
        ("input", f"shape {_shape(model.input_shape)}, values from {low:g} to {high:g}"),
        ("output", f"shape {_shape(program.lines[-1]['shape'])}"),
        (
            "functions",
            f"{', '.join(functions)}, at the end: clients apply them" if functions else "none",
        ),
        ("labels", f"{len(labels)}: {shown}" if labels else "none"),
    ]
    yield from _table(rows)
    yield f"The values of {_weights(compiled):,} weights stay secret."
    yield f"A row takes {work.macs:,} multiplications and {work.relus:,} comparisons."


def _spelled(function: dict[str, Any]) -> str:
    settings = ", ".join(f"{key}={value}" for key, value in function.items() if key != "function")
    return f"{function['function']}({settings})" if settings else str(function["function"])


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _ranges(compiled: Compiled) -> Iterator[str]:
    ranges = compiled.ranges
    why = {
        None: "no input within the bound can make a value leave its range",
        "rows": f"met on your {ranges.rows} rows, not proved",
        "drawn": f"met on {ranges.rows} rows drawn within the bound, not proved",
    }[ranges.source]
    yield f"Ranges: {ranges} ({why})"
    yield "How many times larger values may become"
    yield from _table(
        [(_number(limit.margin), limit.layer, limit.what) for limit in ranges.by_layer.values()]
    )


def _precision(compiled: Compiled) -> Iterator[str]:
    found = compiled.precision
    has_functions = "functions" in compiled.program.public
    after = f"; {found.after:.1e} after the functions at the end" if has_functions else ""
    yield (
        f"Rounding: off by at most {found.error:.1e}, where the largest output is "
        f"{found.largest:.3g}{after} ({found.rows} rows)"
    )


def _costs(compiled: Compiled) -> Iterator[str]:
    yield "Cost of a request (times as on the machine of docs/performance.md)"
    head = ("protocol", "rows", "MB sent", "hops", "MB of memory", "ms", f"ms at {DELAY_MS} ms")
    rows = [
        (
            found.protocol,
            str(found.batch),
            _number((found.sent + found.client) / 1e6),
            str(found.hops),
            _number(found.memory / 1e6),
            _number(found.ms),
            _number(found.ms_at(DELAY_MS)),
        )
        for found in costs(compiled)
    ]
    yield from _table([head, *rows])
    volume = stored(compiled.program.lines) / 1e6
    yield f"MB of memory: about what a player takes, at most. ms at {DELAY_MS} ms: one way."
    yield f"A player's volume holds {_number(volume)} MB of shares, twice that when new ones come."


def _number(value: float) -> str:
    """To three digits, all digits of large ones."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"  # noqa: PLR2004


def _data(data: np.ndarray, suggested: dict[str, Any]) -> Iterator[str]:
    span = f"{float(data.min()):g} to {float(data.max()):g}"
    if "inputBound" in suggested:
        option = f"--input-bound {suggested['inputBound']}"
    else:
        option = f"--input-range 0 {suggested['inputRange']['high']}"
    yield f"Your {len(data)} rows hold values from {span}: {option} suffices for them"


def _table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield ("  " + "  ".join(cells)).rstrip()
