"""Three players that serve one network.

They are measured from outside, by the load tool (load/) and by the Python client.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import measure
import numpy as np
from nets import Net, cost

from ports import held_port
from securemodel_share.cost import Work
from trio import ROLES, Trio

TOOL_TIMEOUT_S = 300


@dataclass(frozen=True)
class Relay:
    """A process that forwards to the three players with a one-way delay."""

    process: subprocess.Popen[str]
    addresses: dict[str, str]

    @classmethod
    def start(cls, tool: Path, targets: dict[str, str], delay_ms: float) -> Self:
        addresses = {role: f"127.0.0.1:{held_port()}" for role in targets}
        # a network does not wait for a processor, so the relay gets priority where that is allowed
        command = [
            "nice", "-n", "-15", str(tool), "relay", "--delay-ms", str(delay_ms),
            *(f"--forward={addresses[role]}={targets[role]}" for role in targets),
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout
        if not process.stdout.readline():
            raise RuntimeError(f"the relay did not start: {' '.join(command)}")
        return cls(process, addresses)


class Served:
    """Three players with the shares of one network.

    `delay_ms` is on all links: between players, and to the client.
    """

    def __init__(
        self,
        tool: Path,
        net: Net,
        protocol: str,
        folder: Path,
        delay_ms: float = 0,
        max_rows: int = 256,
    ) -> None:
        self.tool = tool
        self.net = net
        self.protocol = protocol
        self.delay_ms = delay_ms
        self.trio = Trio(folder, max_rows=max_rows)
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            if self.delay_ms:
                relay = Relay.start(self.tool, self.trio.addresses, self.delay_ms)
                stack.callback(relay.process.wait, 10)
                stack.callback(relay.process.kill)
                self.trio.addresses = relay.addresses
            stack.enter_context(self.trio)
            shared = self.trio.share(self.net.model, *self.net.options, "--protocol", self.protocol)
            if shared.returncode:
                raise RuntimeError(
                    f"the share step refused {self.net.name}: {shared.stderr[-2000:]}"
                )
            self.trio.wait_ready()
            time.sleep(0.5)  # what delivery left behind is freed
            self.idle_mb = {role: measure.rss_mb(pid) for role, pid in self.pids.items()}
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    @property
    def system(self) -> str:
        return f"securemodel-{self.protocol.lower()}"

    @property
    def pids(self) -> dict[str, int]:
        return {role: self.trio.processes[role].pid for role in ROLES}

    def cost(self) -> Work:
        return cost(next((self.trio.folder / "data/alice").rglob("*.safetensors")))

    def latency(self, batch: int, repeats: int, warm_up: int = 5) -> dict[str, Any]:
        """One client, the load tool's: the data plane alone."""
        for pid in self.pids.values():
            measure.forget_peak(pid)
        sent, cpu = self._bytes_sent(), self._cpu()
        found = self._tool(
            "latency", "--rows", str(batch), "--repeats", str(repeats), "--warm-up", str(warm_up)
        )

        requests = found["requests"]
        frames = (self._bytes_sent() - sent) / requests - found["bytes_received"]
        players = {
            role: round((now - cpu[role]) / requests, 3) for role, now in self._cpu().items()
        }
        return {
            "p50_ms": found["p50_ms"],
            "p99_ms": found["p99_ms"],
            "bytes": round(frames + found["bytes_sent"] + found["bytes_received"]),
            "hops": found["hops"],
            "cpu_ms": sum(players.values()),
            "rss_mb": max(measure.peak_mb(pid) for pid in self.pids.values()),
            "cpu_ms_by_player": players,
            "client_cpu_ms": found["client_cpu_ms"],
            "max_error": found["max_error"],
        }

    def load(self, clients: int, seconds: float) -> dict[str, Any]:
        """Concurrent clients with one row each."""
        cpu, begin = self._cpu(), time.monotonic()
        found = self._tool("load", "--clients", str(clients), "--seconds", str(seconds))
        took = time.monotonic() - begin
        found["players_cpu_cores"] = (
            sum(now - cpu[role] for role, now in self._cpu().items()) / 1e3 / took
        )
        return {"clients": clients, **found}

    def python_client_ms(self, batch: int, repeats: int) -> float:
        """The median that a user of the Python library sees."""
        rows, expected = self.net.inputs[:batch], self.net.expected[:batch]
        times = []
        with self.trio.client() as model:
            for _ in range(repeats + 5):
                begin = time.perf_counter()
                got = model.predict(rows)
                times.append((time.perf_counter() - begin) * 1e3)
                assert abs(got - expected).max() <= self.net.tolerance
        return statistics.median(times[5:])

    def answers(self) -> dict[str, Any]:
        """Of all inputs: how many get the class that plaintext gives, and the largest error of
        their logits.
        """
        net = self.net
        with self.trio.client() as model:
            got = model.predict(net.inputs, raw=True)
        return {
            "of": len(got),
            "same": int((got.argmax(-1) == net.expected.argmax(-1)).sum()),
            "largest_error": float(np.abs(got - net.expected).max()),
            "largest": float(np.abs(net.expected).max()),
        }

    def _tool(self, what: str, *more: str) -> dict[str, Any]:
        cluster = self.trio.addresses
        net = self.net
        command = [
            str(self.tool), what, "--alice", cluster["alice"], "--bob", cluster["bob"],
            "--ca", str(self.trio.folder / "tls/ca.crt"),
            "--inputs", str(net.floats("inputs")), "--expected", str(net.floats("expected")),
            "--row", ",".join(map(str, net.inputs.shape[1:])),
            "--tolerance", str(net.tolerance), *more,
        ]  # fmt: skip

        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=False
        )
        if done.returncode:
            raise RuntimeError(
                f"{what} {' '.join(more)}: {done.stderr.strip()}\n{self.trio.logs()[-3000:]}"
            )
        return json.loads(done.stdout)

    def _bytes_sent(self) -> int:
        """Frames to other players and response bodies, before TLS, as the players count them."""
        return sum(self.trio.status(role)["counters"]["bytes_sent"] for role in ROLES)

    def _cpu(self) -> dict[str, float]:
        return {role: measure.cpu_ms(pid) for role, pid in self.pids.items()}
