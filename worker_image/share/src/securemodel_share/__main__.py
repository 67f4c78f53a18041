"""Command line of the share step."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .artifact import check_sha256, read_model
from .deliver import deliver, load_cluster
from .errors import Reason, ShareError
from .fetch import Source, credentials, fetch
from .lowering import check

EXIT_RETRYABLE = 1
EXIT_FINAL = 2
# Kubernetes keeps this much of a termination message
MESSAGE_BYTES = 4096
MAX_INPUT_BOUND = 32767.0


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="securemodel-share",
        description="Turn a Keras .h5 model into secret shares and hand each of the three players its own.",
        epilog="Exit status: 0 shared; 1 failed, trying again may help; 2 failed for good. Every option can also be set as SECUREMODEL_<OPTION>.",
    )

    def option(name: str, help_text: str, *, required: bool = False, default: str | None = None) -> None:
        default = os.environ.get("SECUREMODEL_" + name.upper().replace("-", "_"), default)
        p.add_argument(f"--{name}", help=help_text + (f" (default: {default})" if default else ""), default=default, required=required and default is None)

    option("model", "path or https:// URI of the .h5 file", required=True)
    option("sha256", "its SHA-256, 64 hex digits", required=True)
    option("cluster", "cluster config: JSON, player name to host:port")
    option("tls", "folder with ca.crt, tls.crt and tls.key of role share")
    option("protocol", "protocol that the players run", default="ASTRA")
    option("input-bound", "largest absolute value of an input", default="1.0")
    option("ca-bundle", "PEM file of the CA that the artifact's server is verified with")
    option("credentials-dir", "folder with token, or username and password, for the artifact's server")
    option("out", "write program.json and the three share files to this folder instead of delivering them")
    option("termination-message", "file to write the result to, as JSON")
    p.add_argument("--allow-loopback", action="store_true", help="let the artifact's server be on this machine")
    return p


class Steps:
    """Prints progress and keeps the seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.say(f"{name} ...")
        begin = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begin, 3)

    def say(self, text: str) -> None:
        sys.stderr.write(f"share: {text}\n")
        sys.stderr.flush()


def run(args: argparse.Namespace, steps: Steps) -> dict[str, object]:
    try:
        bound = float(args.input_bound)
    except ValueError:
        bound = 0.0
    if not 0 < bound <= MAX_INPUT_BOUND:
        raise ShareError(Reason.RANGE_OVERFLOW, f"the input bound {args.input_bound!r} is not a number from 0 to {MAX_INPUT_BOUND:g}; correct spec.model.inputBound")
    if args.protocol != "ASTRA":
        raise ShareError(Reason.INTERNAL_ERROR, f"protocol {args.protocol!r} is not known; ASTRA is")
    with steps.step("fetch"):
        source = Source(
            Path(args.ca_bundle) if args.ca_bundle else None,
            credentials(Path(args.credentials_dir) if args.credentials_dir else None),
            args.allow_loopback,
        )
        data = fetch(args.model, source)
        check_sha256(data, args.sha256)
    with steps.step("read"):
        model = read_model(data)
        check(model)
    with steps.step("compile"):
        from .compile import compile_model  # noqa: PLC0415 - imports TensorFlow

        program = compile_model(model, bound)
    with steps.step("share"):
        from .shares import make_shares  # noqa: PLC0415

        generation, files = make_shares(program, args.protocol)
    if args.out:
        out = Path(args.out)
        out.mkdir(parents=True, exist_ok=True)
        (out / "program.json").write_bytes(program.encode())
        for role, file in files.items():
            (out / f"{role}.safetensors").write_bytes(file)
    elif not (args.cluster and args.tls):
        raise ShareError(Reason.INTERNAL_ERROR, "neither --out nor --cluster with --tls is given: nowhere to put the shares")
    else:
        with steps.step("deliver"):
            deliver(files, load_cluster(Path(args.cluster)), Path(args.tls), steps.say)
    parameters = sum(int(w.size) for w in program.weights.values())
    return {"digest": program.digest, "generation": generation, "parameters": parameters, "seconds": steps.seconds}


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    steps = Steps()
    try:
        result: dict[str, object] = run(args, steps)
        status = 0
        steps.say(f"shared {result['parameters']} parameters, digest {result['digest']}, generation {result['generation']}")
    except Exception as error:  # noqa: BLE001 - the last line of defence: a reason instead of a traceback that could show weights
        if not isinstance(error, ShareError):
            error = ShareError(Reason.INTERNAL_ERROR, f"{type(error).__name__} in the share step; please report this model", retryable=True)
        result = {"reason": str(error.reason), "message": error.message[:2000], "retryable": error.retryable}
        status = EXIT_RETRYABLE if error.retryable else EXIT_FINAL
        steps.say(f"{error.reason}: {error.message}")
    if args.termination_message:
        Path(args.termination_message).write_text(json.dumps(result)[:MESSAGE_BYTES])
    return status


if __name__ == "__main__":
    sys.exit(main())
