"""Measures three players as processes on this machine, with TLS, client to client, and writes bench.jsonl.

    make bench

Latencies are medians of one client that asks again and again; bytes and hops are what the players count themselves.
With --cluster also the seconds from `kubectl apply` to Ready, split by step.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import reference
from trio import ROLES, ROOT, Trio, player_binary

BATCHES = {1: 400, 8: 150, 32: 80, 64: 40}
WANTED_MS = {1: 6.0, 32: 120.0}


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return f"{model}, {'avx2' if 'avx2' in flags else 'portable'} kernels, {os.cpu_count()} cores"


def memory_mb(pid: int, field: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field + ":")) / 1024


def cpu_ms(pids: list[int]) -> float:
    ticks = sum(sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])) for pid in pids)
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def counted(trio: Trio) -> dict[str, int]:
    """Bytes that the three players sent each other and the clients, and client bodies that they received."""
    counters = [trio.status(role)["counters"] for role in ROLES]
    return {"sent": sum(c["bytes_sent"] for c in counters), "batches": counters[0]["batches"]}


def measure(trio: Trio, batch: int, repeats: int) -> dict[str, Any]:
    images = reference.digits()[0][:batch]
    pids = [trio.processes[role].pid for role in ROLES]
    with trio.client() as model:
        for _ in range(20):
            model.predict(images)
        before, cpu = counted(trio), cpu_ms(pids)
        times = []
        for _ in range(repeats):
            begin = time.perf_counter()
            model.predict(images)
            times.append((time.perf_counter() - begin) * 1e3)
        after = counted(trio)
        hops = model.hops
    times.sort()
    bodies = 2 * batch * 28 * 28 * 8  # what the client sends, but for some JSON
    return {
        "system": "securemodel-astra",
        "net": "seed",
        "batch": batch,
        "p50_ms": round(times[len(times) // 2], 3),
        "p99_ms": round(times[int(len(times) * 0.99)], 3),
        "bytes": (after["sent"] - before["sent"]) // (after["batches"] - before["batches"]) + bodies,
        "hops": hops,
        "cpu_ms": round((cpu_ms(pids) - cpu) / repeats, 3),
        "rss_mb": round(max(memory_mb(pid, "VmHWM") for pid in pids), 1),
        "delay_ms": 0,
        "cpu": cpu_name(),
    }


def start_seconds(trio: Trio) -> float:
    """From exec to serving again: one player ends and starts with the shares on its volume."""
    trio.kill("carol")
    begin = time.perf_counter()
    trio.start("carol")
    trio.wait_ready()
    return time.perf_counter() - begin


def processes() -> list[dict[str, Any]]:
    lines = []
    with tempfile.TemporaryDirectory() as folder, Trio(Path(folder)) as trio:
        say(f"player: {player_binary().stat().st_size / 1e6:.1f} MB; {cpu_name()}")
        shared = trio.share(ROOT / "examples/digits/digits.h5")
        assert shared.returncode == 0, shared.stderr
        trio.wait_ready()
        result = json.loads((trio.folder / "termination").read_text())
        say(f"share step, seconds: {result['seconds']}")
        idle = max(memory_mb(trio.processes[role].pid, "VmRSS") for role in ROLES)
        say(f"largest player with shares loaded, idle: {idle:.1f} MB")
        say(f"\n{'B':>4} {'p50 ms':>8} {'p99 ms':>8} {'ms/row':>7} {'kB':>8} {'hops':>5} {'cpu ms':>7} {'peak MB':>8}")
        for batch, repeats in BATCHES.items():
            line = measure(trio, batch, repeats)
            wanted = f"   wanted <= {WANTED_MS[batch]:g} ms" if batch in WANTED_MS else ""
            say(
                f"{batch:>4} {line['p50_ms']:>8.2f} {line['p99_ms']:>8.2f} {line['p50_ms'] / batch:>7.3f} {line['bytes'] / 1e3:>8.1f} {line['hops']:>5} "
                f"{line['cpu_ms']:>7.2f} {line['rss_mb']:>8.1f}{wanted}"
            )
            lines.append(line)
        say(f"\na restarted player serves again after {start_seconds(trio):.2f} s")
    return lines


def cluster_seconds() -> None:
    """Applies the example in a namespace of its own and says when each condition turned True."""
    import cluster

    cluster.guard()
    cluster.kubectl("create", "namespace", "bench")
    try:
        begin = time.monotonic()
        cluster.apply(list(cluster.sample()), "bench")
        turned: dict[str, float] = {}
        while "Ready" not in turned and time.monotonic() < begin + 180:
            obj = cluster.get("securemodel", "digits", "bench") or {}
            for found in (obj.get("status") or {}).get("conditions", []):
                if found["status"] == "True":
                    turned.setdefault(found["type"], time.monotonic() - begin)
            time.sleep(0.1)
        say("cluster, seconds after apply: " + ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in turned.items()) + "   wanted: Ready <= 45")
        log = cluster.kubectl("get", "pods", "-n", "bench", "-l", "app.kubernetes.io/component=share", "-o", "json")
        state = json.loads(log)["items"][0]["status"]["containerStatuses"][0]["state"]
        say(
            f"share step in its pod, seconds: {json.loads(state['terminated']['message'])['seconds']}" if "terminated" in state else "the share step still runs"
        )
    finally:
        subprocess.run(["kubectl", "delete", "namespace", "bench", "--wait=false"], check=False, capture_output=True)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", action="store_true", help="also measure on the cluster that KUBECONFIG points to")
    args = parser.parse_args()
    lines = processes()
    (ROOT / "bench.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    say("written: bench.jsonl")
    if args.cluster:
        cluster_seconds()


if __name__ == "__main__":
    main()
