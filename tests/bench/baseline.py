"""TF Encrypted 0.9.1 on three worker processes of this machine, to compare with (tfe/)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import measure
import numpy as np
from nets import Net

from ports import held_port

HERE = Path(__file__).resolve().parent / "tfe"
NAMES = ("server0", "server1", "server2")
ANSWER_S = 600  # a first call compiles, in 15 s on an idle machine
TOLERANCE = 2e-2  # SecureNN's default fixed point has 3^8 steps


class TfEncrypted:
    """Its three servers and the process that drives them, for one protocol and one network."""

    def __init__(self, protocol: str, net: Net, folder: Path) -> None:
        self.protocol = protocol
        self.net = net
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        hosts = json.dumps({name: f"127.0.0.1:{held_port()}" for name in NAMES})
        for name in NAMES:
            self._start(name, [str(HERE / "server.py"), name, hosts])
        self._start("driver", [str(HERE / "driver.py"), self.protocol, hosts, str(self.net.model)])
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait(10)

    @property
    def system(self) -> str:
        return f"tfe-{self.protocol.lower()}"

    def latency(self, batch: int, repeats: int) -> dict[str, Any]:
        """Share, compute, reveal; the first call for a batch size compiles."""
        files = {}
        for what, array in {"inputs": self.net.inputs, "expected": self.net.expected}.items():
            files[what] = str(self.folder / f"{what}-{batch}.npy")
            np.save(files[what], array[:batch])
        cpu = self._cpu()
        found = self._ask({**files, "repeats": repeats})
        if found["max_error"] > TOLERANCE:
            raise RuntimeError(f"{self.system} is wrong by {found['max_error']}")
        times = sorted(found["times_ms"])
        return {
            "p50_ms": times[len(times) // 2],
            "p99_ms": times[int(len(times) * 0.99)],
            "cpu_ms": (self._cpu() - cpu) / repeats,
            "rss_mb": max(measure.rss_mb(process.pid) for process in self.processes[: len(NAMES)]),
            "max_error": found["max_error"],
        }

    def _start(self, name: str, command: list[str]) -> None:
        env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
        with self._log(name).open("w") as log:
            started = subprocess.Popen(
                [sys.executable, *command],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.processes.append(started)

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        driver = self.processes[-1]
        assert driver.stdin
        assert driver.stdout
        with contextlib.suppress(BrokenPipeError):
            driver.stdin.write(json.dumps(order) + "\n")
            driver.stdin.flush()
        ready, _, _ = select.select([driver.stdout], [], [], ANSWER_S)
        line = driver.stdout.readline() if ready else ""
        if not line:
            why = "ended" if ready else f"did not answer within {ANSWER_S} s"
            raise RuntimeError(f"{self.system} {why}: {self._log('driver').read_text()[-2000:]}")
        return json.loads(line)

    def _cpu(self) -> float:
        return sum(measure.cpu_ms(process.pid) for process in self.processes)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"
