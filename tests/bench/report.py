"""Tables in Markdown from the lines of bench.jsonl."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lines import Line, Lines


@dataclass(frozen=True)
class Goal:
    """A bound on one figure. `required` binds, `wanted` is better still."""

    what: str
    found: float | None
    required: float
    unit: str
    wanted: float | None = None
    at_least: bool = False
    digits: int = 2

    def row(self) -> list[str]:
        sign = "≥" if self.at_least else "≤"
        limits = [
            f"{sign} {limit:g} {self.unit}".strip()
            for limit in (self.wanted, self.required)
            if limit is not None
        ]
        if self.found is None:
            return [self.what, " wanted, ".join(limits), "not measured", ""]
        return [
            self.what,
            " wanted, ".join(limits),
            f"{self.found:.{self.digits}f} {self.unit}".strip(),
            self.verdict(),
        ]

    def verdict(self) -> str:
        assert self.found is not None
        by = self.found / self.required if self.at_least else self.required / self.found
        if by < 1:
            return f"**no**, {1 / by:.2f} times off"
        reached = self.wanted is None or self.found <= self.wanted
        return "yes" if reached else "yes, not the wanted"


def goals(lines: Lines) -> str:
    return table(["goal", "limit", "measured", "met"], (goal.row() for goal in all_goals(lines)))


def all_goals(lines: Lines) -> list[Goal]:
    """The goals for the example network, and for the growth of cost."""
    found = [
        Goal("latency B=1, better protocol", best(lines, 1).get("p50_ms"), 3, "ms", wanted=2),
        Goal("latency B=32, better protocol", best(lines, 32).get("p50_ms"), 45, "ms", wanted=30),
    ]

    for name, system, megabytes, hops in (
        ("ASTRA", "securemodel-astra", 0.26, 20),
        ("SecureNN", "securemodel-securenn", 0.40, 18),
    ):
        bytes_, chain = figure(lines, system, 1, "bytes"), figure(lines, system, 1, "hops")
        found += [
            Goal(f"bytes B=1, {name}", bytes_ and bytes_ / 1e6, megabytes, "MB", digits=3),
            Goal(f"longest chain, {name}", chain, hops, "hops", digits=0),
        ]

    per_second = max((load["per_second"] for load in every(lines, 1, "load")), default=None)
    throughput = "throughput, 64 clients, better protocol"
    found.append(Goal(throughput, per_second, 800, "/s", at_least=True, digits=0))

    for batch, times in ((1, 25), (32, 12)):
        ratios = best(lines, batch).get("ratio") or {}
        for theirs in ("tfe-aby3", "tfe-securenn"):
            what = f"times as fast as {theirs}, B={batch}"
            found.append(Goal(what, ratios.get(theirs), times, "x", at_least=True, digits=1))

    idle = [mb for by_player in every(lines, 1, "idle_mb") for mb in by_player.values()]
    largest = max(idle, default=None)
    found.append(Goal("player RSS idle, largest", largest, 12, "MB", digits=1))
    peak = max(every(lines, 64, "rss_mb"), default=None)
    found.append(Goal("player RSS peak, B=64, largest", peak, 80, "MB", digits=1))

    for name, system, times in (
        ("ASTRA", "securemodel-astra", 130),
        ("SecureNN", "securemodel-securenn", 200),
    ):
        found_times = (lines.get(system, "expressions", 1) or {}).get("times_seed")
        what = f"expressions, times the example network's, {name}"
        found.append(Goal(what, found_times, times, "x", digits=0))

    off = [
        off_by(line)
        for line in lines.lines.values()
        if line["delay_ms"] == 0 and line.get("predicted_ms")
    ]
    found.append(
        Goal("larger networks, predicted from smaller: off by", max(off, default=None), 2, "x")
    )
    return found


def best(lines: Lines, batch: int) -> Line:
    """The line of our faster protocol."""
    known = [
        line
        for system in lines.systems()
        if (line := lines.get(system, "seed", batch)) and line["p50_ms"] is not None
    ]
    return min(known, key=lambda line: line["p50_ms"], default={})


def figure(lines: Lines, system: str, batch: int, key: str) -> Any:
    return (lines.get(system, "seed", batch) or {}).get(key)


def every(lines: Lines, batch: int, key: str) -> list[Any]:
    """This figure of each of our protocols that has it."""
    found = [figure(lines, system, batch, key) for system in lines.systems()]
    return [value for value in found if value is not None]


def off_by(line: Line) -> float:
    return max(line["p50_ms"] / line["predicted_ms"], line["predicted_ms"] / line["p50_ms"])


def markdown(lines: Lines) -> str:
    """All tables."""
    cases = list(lines.lines.values())
    seed = [line for line in cases if line["net"] == "seed" and line["delay_ms"] == 0]
    parts = [
        f"Measured on: {lines.cpu}.",
        "### Goals",
        goals(lines),
        "### The example network",
        batches(seed),
    ]
    if any("cpu_ms_by_player" in line for line in seed):
        parts += ["### Processor time and memory of each player", by_player(seed)]
    if any("profile" in line for line in seed):
        parts += ["### What the processor time is spent on, percent", profiles(seed)]
    if any("load" in line for line in seed):
        parts += ["### Load", load(seed)]
    if delayed := [line for line in cases if line["delay_ms"]]:
        parts += ["### Delay", delays(delayed)]
    if deep := [line for line in cases if "answers" in line]:
        parts += ["### The deep networks", answers(deep)]
    other = [line for line in cases if line.get("macs") and "answers" not in line]
    if other := [line for line in other if line["delay_ms"] == 0]:
        parts += ["### Other networks", networks(other)]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def batches(lines: list[Line]) -> str:
    rows = (
        [
            line["system"], str(line["batch"]),
            number(line["p50_ms"]), number(line["p99_ms"]),
            number(line["p50_ms"] / line["batch"], 3),
            number(line.get("python_p50_ms")), number(line["bytes"] and line["bytes"] / 1e6, 3),
            number(line["hops"], 0), number(line["cpu_ms"], 1), number(line["rss_mb"], 0),
            ", ".join(f"{times:.1f}" for times in line.get("ratio", {}).values()),
        ]
        for line in sorted(lines, key=lambda line: (line["system"], line["batch"]))
        if line["p50_ms"] is not None
    )  # fmt: skip
    titles = [
        "system", "B", "p50 ms", "p99 ms", "ms a row", "Python client, ms", "MB", "hops", "CPU ms",
        "peak MB", "times as fast as TFE (ABY3, SecureNN)",
    ]  # fmt: skip
    return table(titles, rows)


def by_player(lines: list[Line]) -> str:
    rows = (
        [
            line["system"],
            str(line["batch"]),
            *(number(ms, 2) for ms in line["cpu_ms_by_player"].values()),
            *(number(mb, 1) for mb in idle.values()),
        ]
        for line in lines
        if line["batch"] in (1, 32, 64)
        and "cpu_ms_by_player" in line
        and (idle := line.get("idle_mb"))
    )
    return table(
        ["system", "B", "alice, CPU ms", "bob", "carol", "alice, idle MB", "bob", "carol"], rows
    )


def profiles(lines: list[Line]) -> str:
    profiled = [line for line in lines if "profile" in line]
    rows = (
        [
            line["system"],
            str(line["batch"]),
            *(number(percent, 0) for percent in line["profile"].values()),
        ]
        for line in profiled
    )
    return table(["system", "B", *profiled[0]["profile"]], rows)


def load(lines: list[Line]) -> str:
    rows = (
        [
            line["system"], number(found["clients"], 0), number(found["per_second"], 0),
            number(found["p50_ms"], 1), number(found["p99_ms"], 1),
            ", ".join(f"{code} {count}" for code, count in found["errors"].items()) or "none",
            number(found["client_cpu_cores"]), number(found["players_cpu_cores"]),
        ]
        for line in lines if (found := line.get("load"))
    )  # fmt: skip
    titles = [
        "system", "clients", "predictions/s", "p50 ms", "p99 ms", "errors",
        "cores of the clients", "cores of the players",
    ]  # fmt: skip
    return table(titles, rows)


def delays(lines: list[Line]) -> str:
    rows = (
        [
            line["system"],
            f"{line['delay_ms']:g}",
            number(line["hops"], 0),
            number(line["p50_ms"], 1),
            number(line["predicted_ms"], 1),
            number(off_by(line)),
        ]
        for line in lines
    )
    return table(["system", "one way, ms", "hops", "measured, ms", "predicted, ms", "off by"], rows)


def answers(lines: list[Line]) -> str:
    rows = (
        [
            line["net"], line["system"],
            number(line["macs"] / 1e6, 1), number(line["relus"], 0),
            number(line["p50_ms"], 1), number(line["times_seed"], 0),
            number(line["bytes"] / 1e6, 1), number(line["hops"], 0),
            number(line["cpu_ms"], 0), number(line["rss_mb"], 0),
            f"{line['answers']['same']} of {line['answers']['of']}",
            f"{line['answers']['largest_error']:.1e} of {line['answers']['largest']:.1f}",
        ]
        for line in sorted(lines, key=lambda line: line["net"])
    )  # fmt: skip
    titles = [
        "net", "system", "M MACs", "ReLUs", "p50 ms", "times the example network", "MB", "hops",
        "CPU ms", "peak MB", "class of plaintext", "largest error of logits",
    ]  # fmt: skip
    return table(titles, rows)


def networks(lines: list[Line]) -> str:
    rows = (
        [
            line["system"], line["net"], str(line["batch"]),
            number(line["macs"] / 1e6, 2), number(line["relus"], 0),
            line.get("failed") or number(line["p50_ms"], 1), number(line.get("predicted_ms"), 1),
            number(line["bytes"] and line["bytes"] / 1e6, 2),
            number(line["hops"], 0), number(line["rss_mb"], 0),
        ]
        for line in sorted(lines, key=lambda line: line["system"])
    )  # fmt: skip
    fits = []
    for system in sorted({line["system"] for line in lines}):
        fitted = [line for line in lines if line["system"] == system and "fit" in line]
        if fitted:
            model = fitted[-1]["fit"]
            fits.append(
                f"{system}: {model['mac_ns']:.2f} ns a multiplication, "
                f"{model['relu_ns']:.0f} ns a ReLU, {model['hop_us']:.0f} µs a hop."
            )

    titles = [
        "system", "net", "B", "M MACs a row", "ReLUs a row", "measured, ms", "predicted, ms", "MB",
        "hops", "peak MB",
    ]  # fmt: skip
    return table(titles, rows) + "\n" + "\n".join(fits) + "\n"


def number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def table(titles: list[str], rows: Iterable[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join("| " + " | ".join(row) + " |\n" for row in lines)
