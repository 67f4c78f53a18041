"""Three real players as processes on this machine, real certificates, and the share step."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Self

import securemodel
from ports import held_port
from securemodel.connect import endpoint
from securemodel_operator import pki
from securemodel_share.compiled import CompiledFolder
from securemodel_share.deliver import Identity, load_cluster
from securemodel_share.handover import Options, hand_over
from securemodel_share.steps import Steps

ROLES = ("alice", "bob", "carol")
ROOT = Path(__file__).resolve().parents[2]
START_S = 10
READY_S = 20


def player_binary() -> Path:
    """The player that `make build` made, or the one that SECUREMODEL_PLAYER_BINARY names."""
    cache = Path(os.environ.get("SECUREMODEL_CACHE", Path.home() / ".cache/securemodel"))
    checkout = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]  # as in tests/cluster/env.sh
    built = cache / "target" / checkout / "release/securemodel-player"
    path = Path(os.environ.get("SECUREMODEL_PLAYER_BINARY", built))
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; run make build")
    return path


class Trio:
    """Starts the players in `folder`.

    They listen on `ports`; `addresses` are what peers and the share step dial, and may lead through
    relays. `clusters` overrides the addresses for one holder: a role, "share" or "client".
    """

    def __init__(
        self, folder: Path, model: str = "digits", namespace: str = "default", max_rows: int = 256
    ) -> None:
        self.folder = folder
        self.model = model
        self.namespace = namespace
        self.max_rows = max_rows
        self.ports = {role: held_port() for role in ROLES}
        self.health = {role: held_port() for role in ROLES}
        self.addresses = {role: f"127.0.0.1:{self.ports[role]}" for role in ROLES}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.clusters: dict[str, dict[str, str]] = {}
        pki.main(["--out", str(folder / "tls"), "--namespace", namespace, "--model", model])

    def __enter__(self) -> Self:
        for role in ROLES:
            self.start(role)
        return self

    def __exit__(self, *_: object) -> None:
        for role in list(self.processes):
            self.kill(role)

    def cluster(self, holder: str) -> Path:
        """The cluster config that `holder` uses."""
        path = self.folder / f"cluster-{holder}.json"
        path.write_text(json.dumps(self.clusters.get(holder, self.addresses)))
        return path

    def start(self, role: str) -> None:
        data = self.folder / "data" / role
        data.mkdir(parents=True, exist_ok=True)
        command = [
            str(player_binary()), "--player", role, "--cluster", str(self.cluster(role)),
            "--tls", str(self.folder / "tls" / role), "--data", str(data),
            "--listen", f"127.0.0.1:{self.ports[role]}",
            "--health", f"127.0.0.1:{self.health[role]}", "--max-rows", str(self.max_rows),
        ]  # fmt: skip
        with self.log(role).open("ab") as log:
            self.processes[role] = subprocess.Popen(
                command, stderr=log, stdout=log, stdin=subprocess.DEVNULL
            )
        self.wait(lambda: self.status(role), START_S, f"{role} listens")

    def kill(self, role: str, sig: int = signal.SIGKILL) -> None:
        process = self.processes.pop(role)
        process.send_signal(sig)
        process.wait(10)

    def log(self, role: str) -> Path:
        return self.folder / f"{role}.log"

    def logs(self) -> str:
        return "\n".join(
            f"--- {role}\n{self.log(role).read_text()}" for role in ROLES if self.log(role).exists()
        )

    def status(self, role: str) -> dict:
        url = f"http://127.0.0.1:{self.health[role]}/status"
        with urllib.request.urlopen(url, timeout=2) as answer:
            return json.load(answer)

    def wait(self, done, seconds: float, what: str):
        """Waits until done() returns something true, and returns that; else shows the logs."""
        end = time.monotonic() + seconds
        last: object = None
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                last = done()
                if last:
                    return last
            time.sleep(0.02)
        raise AssertionError(f"not within {seconds} s: {what} (last: {last})\n{self.logs()}")

    def wait_ready(self, seconds: float = READY_S) -> None:
        self.wait(
            lambda: all(self.status(role)["ready"] for role in ROLES),
            seconds,
            "all three players are ready",
        )

    def share(
        self, model: Path, *extra: str, sha256: str | None = None, protocol: str = "SecureNN"
    ) -> subprocess.CompletedProcess[str]:
        """Runs the share step for a stored model."""
        sha256 = sha256 or hashlib.sha256(model.read_bytes()).hexdigest()
        command = [
            sys.executable, "-m", "securemodel_share", "run",
            "--model", str(model), "--sha256", sha256,
            "--cluster", str(self.cluster("share")), "--tls", str(self.folder / "tls/share"),
            "--termination-message", str(self.folder / "termination"),
            "--protocol", protocol, *extra,
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)

    def share_compiled(self, model: CompiledFolder, protocol: str = "SecureNN") -> None:
        """The half of the share step that delivers, in this process; returns when all serve it."""
        players = load_cluster(self.cluster("share")), Identity(self.folder / "tls/share")
        handed = hand_over(model, Options(protocol=protocol, destination=players), Steps())
        self.wait(lambda: self._serve(handed["generation"]), READY_S, "all serve the new shares")

    def _serve(self, generation: str) -> bool:
        found = [self.status(role) for role in ROLES]
        return all(s["ready"] and s["generation"] == generation for s in found)

    def client(self) -> securemodel.Model:
        cluster = self.clusters.get("client", self.addresses)
        endpoints = {
            role: endpoint(role, role, f"https://{cluster[role]}") for role in ("alice", "bob")
        }
        ca = (self.folder / "tls/ca.crt").read_text()
        return securemodel.Model(endpoints, ca, self.model, self.namespace)
