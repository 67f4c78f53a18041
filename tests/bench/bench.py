"""Measures three players as processes on this machine, beside TF Encrypted on three workers.

    make bench                   # all but the large networks: about 15 minutes; writes bench.jsonl
    make bench BENCH=--all       # the deep networks of examples/, and one of ResNet-18's size, too
    make bench BENCH="--only delays load"
    make bench BENCH=--report    # the tables of docs/performance.md, from bench.jsonl
    make bench BENCH=--cluster   # seconds from `kubectl apply` to Ready, on KUBECONFIG's cluster

Times are with TLS, client to client. A line of bench.jsonl is one system, network, batch and delay.
What is measured, and how, is in docs/performance.md.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cost_model
import measure
import nets
import profile_players
import report
from baseline import TfEncrypted
from lines import Lines
from players import Served

from securemodel_share.shares import PROTOCOLS
from trio import ROOT

RESULTS = ROOT / "bench.jsonl"
PARTS = ("tfe", "batches", "profile", "load", "delays", "networks")
LONG_PARTS = ("deep",)
ROUNDS = 5
# batch: requests a round of ours, and of TF Encrypted
INTERLEAVED = {1: (100, 10), 32: (20, 3)}
BATCHES = {1: 200, 8: 100, 32: 40, 64: 20, 128: 10, 256: 6}
PROFILED = {1: 2000, 32: 100}
DELAYS_MS = {0.5: 30, 10: 12, 40: 6}
# network: batches and their requests; the largest takes seconds a request
NETWORKS = {"mlp": {1: 100, 32: 20}, "vgg": {1: 10, 4: 4}}
LARGEST = {"resnet": {1: 3}}
# requests a round of the example network, and of each deep one; rows of each of their requests
DEEP_REQUESTS, DEEP_ROWS = {"seed": 100}, 8
CLIENTS, LOAD_S = 64, 10.0
BEGIN = time.monotonic()


def say(text: str) -> None:
    sys.stderr.write(f"==> [{time.monotonic() - BEGIN:3.0f}s] {text}\n")


class Bench:
    """The parts of a run, each of which adds its figures to the lines."""

    def __init__(self, tool: Path, folder: Path, lines: Lines) -> None:
        self.tool = tool
        self.folder = folder
        self.lines = lines
        self.count = 0
        self.interleaved = False

    def net(self, name: str) -> nets.Net:
        return nets.make(name, self.folder)

    def served(
        self, net: nets.Net, protocol: str, delay_ms: float = 0, max_rows: int = 256
    ) -> Served:
        self.count += 1
        folder = self.folder / f"trio-{self.count}"
        folder.mkdir()
        return Served(self.tool, net, protocol, folder, delay_ms, max_rows)

    def tfe(self) -> None:
        """All systems in turn, round after round, so that they meet the machine in one state."""
        net = self.net("seed")
        with contextlib.ExitStack() as stack:
            ours = [stack.enter_context(self.served(net, protocol)) for protocol in PROTOCOLS]
            say("TF Encrypted starts, three workers and a driver for each protocol")
            theirs = [
                stack.enter_context(TfEncrypted(protocol, net, self.folder / protocol))
                for protocol in ("ABY3", "SecureNN")
            ]
            for batch, (repeats, their_repeats) in INTERLEAVED.items():
                for system in theirs:
                    say(f"{system.system} compiles for B={batch} and warms up")
                    system.latency(batch, 3)
                counts = dict.fromkeys(ours, repeats) | dict.fromkeys(theirs, their_repeats)
                rounds = in_turn(counts, batch)

                for system in [*ours, *theirs]:
                    self.lines.add(system.system, "seed", batch, **middle(rounds[system.system]))
                for system in ours:
                    ratios = {
                        their.system: ratio(rounds[their.system], rounds[system.system])
                        for their in theirs
                    }
                    self.lines.add(system.system, "seed", batch, ratio=ratios)
                    times = ", ".join(f"{x:.1f} times as fast as {y}" for y, x in ratios.items())
                    say(f"B={batch}: {system.system} is {times}")

        self.interleaved = True

    def batches(self) -> None:
        """Latency, bytes, hops, CPU and memory by batch size, and what the Python client sees."""
        net = self.net("seed")
        for protocol in PROTOCOLS:
            with self.served(net, protocol) as served:
                for batch, repeats in BATCHES.items():
                    found = served.latency(batch, repeats)
                    say(f"{served.system}, B={batch}: " + summary(found, batch))
                    # measured in turn with TF Encrypted in this run: those times count
                    if self.interleaved and batch in INTERLEAVED:
                        del found["p50_ms"], found["p99_ms"]
                    found |= {"idle_mb": served.idle_mb, **vars(served.cost())}
                    self.lines.add(served.system, "seed", batch, **found)

                for batch, repeats in {1: 100, 32: 20}.items():
                    seen = served.python_client_ms(batch, repeats)
                    say(f"{served.system}, B={batch}: the Python client's user sees {seen:.2f} ms")
                    self.lines.add(served.system, "seed", batch, python_p50_ms=seen)

    def profile(self) -> None:
        """What the players' processor time is spent on."""
        if not profile_players.available():
            say("no profile: perf is not installed")
            return
        net = self.net("seed")
        for protocol in PROTOCOLS:
            with self.served(net, protocol) as served:
                for batch, repeats in PROFILED.items():
                    data = self.folder / "perf.data"
                    found = profile_players.percent_by_group(
                        list(served.pids.values()),
                        data,
                        functools.partial(served.latency, batch, repeats),
                    )
                    say(
                        f"{served.system}, B={batch}, processor time: "
                        + ", ".join(f"{name} {percent:.0f} %" for name, percent in found.items())
                    )
                    self.lines.add(served.system, "seed", batch, profile=found)

    def load(self) -> None:
        """Many clients with one image each."""
        net = self.net("seed")
        for protocol in PROTOCOLS:
            with self.served(net, protocol) as served:
                served.load(CLIENTS, 2.0)
                found = served.load(CLIENTS, LOAD_S)
                say(
                    f"{served.system}, {CLIENTS} clients: {found['per_second']:.0f} predictions/s, "
                    f"p50 {found['p50_ms']:.1f} ms, p99 {found['p99_ms']:.1f} ms, "
                    f"errors {found['errors'] or 'none'}; cores used: "
                    f"clients {found['client_cpu_cores']:.2f}, "
                    f"players {found['players_cpu_cores']:.2f}"
                )
                self.lines.add(served.system, "seed", 1, load=found)

    def delays(self) -> None:
        """All links lead through a relay.

        Predicted: the time without a delay, plus the delay of every hop.
        """
        net = self.net("seed")
        for protocol in PROTOCOLS:
            with self.served(net, protocol) as served:
                undelayed = served.latency(1, 100)["p50_ms"]
            for delay, repeats in DELAYS_MS.items():
                with self.served(net, protocol, delay) as served:
                    found = served.latency(1, repeats, warm_up=3)
                    predicted = undelayed + found["hops"] * delay
                    say(
                        f"{served.system}, {delay} ms one way: {found['p50_ms']:.1f} ms, "
                        f"predicted {predicted:.1f} ms ({found['hops']} hops)"
                    )
                    self.lines.add(served.system, "seed", 1, delay, **found, predicted_ms=predicted)

    def networks(self, *, largest: bool) -> None:
        """Other networks, and whether a cost model of the smaller ones predicts the larger."""
        sizes = NETWORKS | (LARGEST if largest else {})
        for name, batches in sizes.items():
            say(f"{name} is generated and evaluated in the clear")
            net = self.net(name)
            for protocol in PROTOCOLS:
                with self.served(net, protocol, max_rows=max(batches)) as served:
                    cost = served.cost()
                    for batch, repeats in batches.items():
                        try:
                            found = served.latency(
                                batch, repeats, warm_up=2 if name in NETWORKS else 1
                            )
                        except RuntimeError as error:
                            why = str(error).splitlines()[0]
                            say(f"{served.system}, {name}, B={batch} failed: {why}")
                            self.lines.add(served.system, name, batch, **vars(cost), failed=why)
                            continue
                        say(
                            f"{served.system}, {name}, {cost.macs / 1e6:.1f} M MACs, "
                            f"{cost.relus} ReLUs, B={batch}: " + summary(found, batch)
                        )
                        self.lines.add(served.system, name, batch, **found, **vars(cost))
        for protocol in PROTOCOLS:
            self.predict(f"securemodel-{protocol.lower()}", list(sizes))

    def deep(self) -> None:
        """The deep networks of examples/, in turn with the example network, and their answers."""
        say("the deep networks are fetched, and evaluated by Keras")
        made = [self.net("seed"), *(nets.make_deep(name, self.folder) for name in nets.DEEP)]
        for protocol in PROTOCOLS:
            with contextlib.ExitStack() as stack:
                served = {
                    net.name: stack.enter_context(self.served(net, protocol, max_rows=DEEP_ROWS))
                    for net in made
                }
                rounds = nets_in_turn(served)
                for name in nets.DEEP:
                    self.deep_line(served[name], rounds[name], rounds["seed"])

    def deep_line(
        self, served: Served, found: list[dict[str, Any]], seed: list[dict[str, Any]]
    ) -> None:
        name, cost, figures = served.net.name, served.cost(), middle(found)
        answers = served.answers()
        times = ratio(found, seed)
        say(
            f"{served.system}, {name}, {cost.macs / 1e6:.1f} M MACs, {cost.relus} ReLUs: "
            f"{times:.0f} times the example network, {summary(figures, 1)}; class of plaintext "
            f"{answers['same']} of {answers['of']}, largest error {answers['largest_error']:.2g}"
        )
        found = figures | vars(cost) | {"times_seed": times, "answers": answers}
        self.lines.add(served.system, name, 1, **found)

    def predict(self, system: str, names: list[str]) -> None:
        """Fits the cost model on the networks before each one, smallest first."""
        for at, name in enumerate(names[1:], start=1):
            known = [
                line
                for line in self.lines.of(system, ["seed", *names[:at]])
                if line.get("macs") and line["p50_ms"]
            ]
            if {line["net"] for line in known} != {"seed", *names[:at]}:
                say(f"{system}: {name} is not predicted; smaller networks are missing (--only)")
                continue

            rates = cost_model.fit(known)
            for line in self.lines.of(system, [name]):
                if line["p50_ms"]:
                    predicted = cost_model.predict_ms(rates, line)
                    line["predicted_ms"], line["fit"] = predicted, vars(rates)
                    say(
                        f"{system}, {name}, B={line['batch']}: {line['p50_ms']:.1f} ms, "
                        f"predicted {line['predicted_ms']:.1f} ms from the smaller networks"
                    )


def in_turn(
    requests: dict[Served | TfEncrypted, int], batch: int
) -> dict[str, list[dict[str, Any]]]:
    """What each system measured in each round. `requests`: how many in a round."""
    rounds: dict[str, list[dict[str, Any]]] = {}
    for number in range(ROUNDS):
        for system, count in requests.items():
            rounds.setdefault(system.system, []).append(system.latency(batch, count))
        last = ", ".join(f"{name} {found[-1]['p50_ms']:.2f} ms" for name, found in rounds.items())
        say(f"B={batch}, round {number + 1} of {ROUNDS}: {last}")
    return rounds


def nets_in_turn(served: dict[str, Served]) -> dict[str, list[dict[str, Any]]]:
    """What each network took in each round."""
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in served}
    for number in range(ROUNDS):
        for name, system in served.items():
            requests = DEEP_REQUESTS.get(name, 3)
            rounds[name].append(system.latency(1, requests, warm_up=5 if name == "seed" else 1))
        last = ", ".join(f"{name} {found[-1]['p50_ms']:.2f} ms" for name, found in rounds.items())
        say(f"round {number + 1} of {ROUNDS}: {last}")
    return rounds


def middle(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The medians of the rounds; what is not a number is taken from the last round."""
    numbers = {
        key: statistics.median(found[key] for found in rounds)
        for key, value in rounds[-1].items()
        if isinstance(value, (int, float))
    }
    return rounds[-1] | numbers


def ratio(theirs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> float:
    """The median over the rounds of how many times longer they took."""
    return statistics.median(
        their["p50_ms"] / our["p50_ms"] for their, our in zip(theirs, ours, strict=True)
    )


def summary(found: dict[str, Any], batch: int) -> str:
    return (
        f"p50 {found['p50_ms']:.2f} ms, p99 {found['p99_ms']:.2f} ms, "
        f"{found['p50_ms'] / batch:.3f} ms a row, {found['bytes'] / 1e6:.3f} MB, "
        f"{found['hops']} hops, CPU {found['cpu_ms']:.2f} ms, peak {found['rss_mb']:.1f} MB"
    )


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--all", action="store_true", help="also the deep networks, and one of ResNet-18's size"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS + LONG_PARTS,
        metavar="PART",
        help=f"some of: {', '.join(PARTS + LONG_PARTS)}; adds to bench.jsonl",
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="measure nothing; print the tables of bench.jsonl as Markdown",
    )
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="measure only the time to Ready, on the cluster that KUBECONFIG points to",
    )
    parser.add_argument("--tool", type=Path, help="the load tool's binary (load/)")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    if args.report:
        sys.stdout.write(report.markdown(Lines.load(RESULTS)))
        return
    if args.cluster:
        from ready import seconds_to_ready

        say(seconds_to_ready())
        return

    adds = args.only and RESULTS.exists()
    lines = Lines.load(RESULTS) if adds else Lines(measure.cpu_name())
    parts = args.only or PARTS + LONG_PARTS * args.all
    say(f"{lines.cpu}; protocols: {', '.join(PROTOCOLS)}")
    with tempfile.TemporaryDirectory(prefix="securemodel-bench-") as folder:
        bench = Bench(args.tool, Path(folder), lines)
        for part in parts:
            if part == "networks":
                bench.networks(largest=args.all)
            else:
                getattr(bench, part)()
            lines.save(RESULTS)
    say(f"written: {RESULTS.name}")
    sys.stdout.write("\n" + report.goals(lines))


if __name__ == "__main__":
    main()
