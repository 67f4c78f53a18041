"""How long a SecureModel takes from `kubectl apply` to Ready on a cluster."""

from __future__ import annotations

import subprocess
import time

import cluster


def seconds_to_ready() -> str:
    """Applies the example in a namespace of its own and says when each condition turned True."""
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

        times = ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in turned.items())
        return f"seconds after apply: {times}   wanted: Ready <= 45"
    finally:
        delete = ["kubectl", "delete", "namespace", "bench", "--wait=false"]
        subprocess.run(delete, check=False, capture_output=True)
