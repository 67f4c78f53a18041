"""The demonstration: the example model on the cluster.

Shows its conditions as they turn, then private predictions beside plaintext ones.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import cluster
import reference
import securemodel

SHOWN = 10
READY_S = 120


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def clock() -> str:
    """The time since `make demo` began, as the scripts before this one print it (env.sh)."""
    passed = int(time.time()) - int(os.environ.get("SECUREMODEL_BEGAN", time.time()))
    return f"[{passed // 60:2}:{passed % 60:02}]"


def follow_conditions(begin: float) -> None:
    """Prints each condition when it turns, until the SecureModel is Ready."""
    seen: dict[str, tuple[str, str]] = {}
    while time.monotonic() < begin + READY_S:
        obj = cluster.get("securemodel", "digits", "default") or {}
        for found in (obj.get("status") or {}).get("conditions", []):
            now = (found["status"], found["reason"])
            if seen.get(found["type"]) != now:
                seen[found["type"]] = now
                turned = f"{found['type']:<13} {found['status']:<6} {found['reason']}"
                say(f"    {clock()} {turned}: {found['message']}")
        if seen.get("Ready", ("", ""))[0] == "True":
            return
        time.sleep(0.25)
    raise SystemExit("not Ready in time; look at: kubectl describe securemodel digits")


def main() -> None:
    cluster.guard()
    steps = os.environ.get("SECUREMODEL_STEPS")
    step = f"step {steps} of {steps}: " if steps else ""
    say(
        f"==> {clock()} {step}the example model: "
        "kubectl apply -f crds/samples/digits.yaml (a quarter of a minute)"
    )
    begin = time.monotonic()
    say("  " + cluster.kubectl("apply", "-f", str(cluster.SAMPLE)).strip().replace("\n", "\n  "))
    follow_conditions(begin)

    images, labels = reference.digits()
    plain = reference.logits(images)
    with securemodel.connect("digits") as model:
        model.predict(images[:1], raw=True)
        times = []
        for i in range(SHOWN):
            start = time.perf_counter()
            model.predict(images[i : i + 1], raw=True)
            times.append((time.perf_counter() - start) * 1e3)
        private = model.predict(images, raw=True)

    difference = np.abs(private - plain).max(axis=1)
    say("\n  private, plaintext: the class of the largest logit (the network ends in logits)")
    say("  digit  label  private  plaintext  largest logit difference")
    # the model errs on some digits, in the clear too; these are ones that it gets right
    for i in np.flatnonzero(plain.argmax(1) == labels)[:SHOWN]:
        classes = f"{labels[i]:>5}  {private[i].argmax():>7}  {plain[i].argmax():>9}"
        say(f"  {i:>5}  {classes}  {difference[i]:.6f}")

    same = int((private.argmax(1) == plain.argmax(1)).sum())
    right = float((private.argmax(1) == labels).mean())
    say(
        f"\n  all {len(images)} held-out digits: {same} predicted as in the clear, "
        f"{right:.1%} right, largest logit difference {difference.max():.6f}"
    )
    say(f"  one digit through two port-forwards: {sorted(times)[len(times) // 2]:.1f} ms (median)")
    say("""
Go on with (after the export lines above):

    securemodel predict digits --input examples/digits/digits.npy
    kubectl describe securemodel digits
    kubectl delete -f crds/samples/digits.yaml
    make down
""")


if __name__ == "__main__":
    main()
