"""The lines of bench.jsonl: one a system, network, batch and delay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

Line = dict[str, Any]
# in every line, null where it does not apply; what else was found comes after them
COLUMNS = (
    "system", "net", "batch", "p50_ms", "p99_ms", "bytes", "hops", "cpu_ms", "rss_mb", "delay_ms",
    "cpu",
)  # fmt: skip
DIGITS = 3


class Lines:
    """Figures of one machine."""

    def __init__(self, cpu: str) -> None:
        self.cpu = cpu
        self.lines: dict[tuple[str, str, int, float], Line] = {}

    def add(self, system: str, net: str, batch: int, delay_ms: float = 0, **found: Any) -> None:
        """Adds to the line of this case, or begins it."""
        empty = dict.fromkeys(COLUMNS) | {
            "system": system,
            "net": net,
            "batch": batch,
            "delay_ms": delay_ms,
            "cpu": self.cpu,
        }
        self.lines.setdefault((system, net, batch, delay_ms), empty).update(rounded(found))

    def get(self, system: str, net: str, batch: int, delay_ms: float = 0) -> Line | None:
        return self.lines.get((system, net, batch, delay_ms))

    def of(self, system: str, nets: list[str]) -> list[Line]:
        """Those without a delay, in the order of the networks."""
        return [
            line
            for name in nets
            for line in self.lines.values()
            if (line["system"], line["net"], line["delay_ms"]) == (system, name, 0)
        ]

    def systems(self) -> list[str]:
        """Ours."""
        systems = {line["system"] for line in self.lines.values()}
        return sorted(system for system in systems if system.startswith("securemodel-"))

    @classmethod
    def load(cls, path: Path) -> Self:
        found = [json.loads(text) for text in path.read_text().splitlines()]
        lines = cls(found[0]["cpu"])
        lines.lines = {
            (line["system"], line["net"], line["batch"], line["delay_ms"]): line for line in found
        }
        return lines

    def save(self, path: Path) -> None:
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines.values()))


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS) if abs(value) >= 1 else float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return value
