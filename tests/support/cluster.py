"""kubectl for tests and the demo.

The cluster is the one that KUBECONFIG points to, if it looks like one that tests may use.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "crds/samples/digits.yaml"
Object = dict[str, Any]


class KubectlError(Exception):
    """kubectl's own words."""


def kubectl(*args: str, stdin: str | None = None, timeout: float = 60) -> str:
    done = subprocess.run(
        ["kubectl", *args],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise KubectlError(done.stderr.strip())
    return done.stdout


def guard() -> None:
    """Refuses a context that does not look like a test cluster's: tests create and delete."""
    context = kubectl("config", "current-context").strip()
    if not context.startswith("kind-") and context != os.environ.get("SECUREMODEL_TEST_CONTEXT"):
        raise KubectlError(
            f"context {context!r} does not look like a test cluster (kind-...); "
            f"set SECUREMODEL_TEST_CONTEXT={context} if it is one"
        )


def get(kind: str, name: str, namespace: str) -> Object | None:
    try:
        return json.loads(kubectl("get", kind, name, "-n", namespace, "-o", "json"))
    except KubectlError as error:
        if "NotFound" in str(error):
            return None
        raise


def items(kind: str, namespace: str, selector: str = "") -> list[Object]:
    return json.loads(
        kubectl("get", kind, "-n", namespace, "-o", "json", *(["-l", selector] if selector else []))
    )["items"]


def apply(obj: Object | list[Object], namespace: str) -> None:
    text = yaml.safe_dump_all(obj if isinstance(obj, list) else [obj])
    kubectl("apply", "--server-side", "-n", namespace, "-f", "-", stdin=text)


def sample() -> tuple[Object, Object]:
    """The example's SecureModel and the ConfigMap with its model."""
    objects = {obj["kind"]: obj for obj in yaml.safe_load_all(SAMPLE.read_text())}
    return objects["SecureModel"], objects["ConfigMap"]


def condition(obj: Object | None, kind: str) -> Object:
    known = ((obj or {}).get("status") or {}).get("conditions", [])
    unknown = {"status": "Unknown", "reason": "", "message": ""}
    return next((found for found in known if found["type"] == kind), unknown)


def wait(done: Callable[[], Any], seconds: float, what: str, every: float = 0.5) -> Any:
    """Waits until done() returns something true, and returns that."""
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        last = done()
        if last:
            return last
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s: {what} (last: {last!r})")


def wait_condition(name: str, namespace: str, kind: str, seconds: float, **fields: str) -> Object:
    """Waits until the SecureModel's condition has these fields, and returns the condition."""

    def turned() -> Object | None:
        found = condition(get("securemodel", name, namespace), kind)
        return found if fields.items() <= found.items() else None

    return wait(turned, seconds, f"{kind} with {fields}")


def wait_ready(name: str, namespace: str, seconds: float = 120) -> None:
    try:
        wait(
            lambda: condition(get("securemodel", name, namespace), "Ready")["status"] == "True",
            seconds,
            f"{namespace}/{name} is Ready",
        )
    except AssertionError as error:
        raise AssertionError(
            f"{error}\n{kubectl('describe', 'securemodel', name, '-n', namespace)}"
        ) from None
