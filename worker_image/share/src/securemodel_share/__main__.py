"""Command line of the share step."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from .deliver import Identity, load_cluster
from .errors import Reason, ShareError
from .pipeline import Options, Steps, run
from .sources import Source
from .sources.credentials import read_authorization

EXIT_RETRYABLE = 1
EXIT_FINAL = 2
# Kubernetes keeps 4096 bytes of a termination message; JSON may need six for a character
MESSAGE_CHARACTERS = 600
# the first is the default
PROTOCOLS = ("SecureNN", "ASTRA")
# as players take it (docs/program.md): less than 2^31 in fixed point
MAX_INPUT_BOUND = 32767.0
MIN_INPUT_BOUND = 2.0**-16

DESCRIPTION = """\
Turn a Keras .h5 model into secret shares and hand each of the three players its own.
The players learn the model's architecture, not its weights."""
EXAMPLE = """
example, three files for three players on this machine:
  securemodel-share --model digits.h5 --sha256 $(sha256sum digits.h5 | cut -c1-64) --out shares

Every option can be given by the environment instead: --input-bound is SECUREMODEL_INPUT_BOUND.
Exit status: 0 shared; 1 failed, trying again may help; 2 failed for good.
"""


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="securemodel-share",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=32, width=100
        ),
    )
    _artifact_options(p.add_argument_group("model"))
    _share_options(p.add_argument_group("shares"))
    return p


def _artifact_options(artifact: argparse._ArgumentGroup) -> None:
    _option(artifact, "model", "URI", "path or https:// address of the .h5 file", required=True)
    _option(artifact, "sha256", "HEX", "SHA-256 that the file must have", required=True)
    _option(
        artifact,
        "input-bound",
        "NUMBER",
        "largest absolute value that a client may send",
        default="1.0",
    )
    _option(
        artifact, "ca-bundle", "FILE", "PEM file: CAs to trust for https:// instead of the system's"
    )
    _option(
        artifact,
        "credentials-dir",
        "DIR",
        "mounted Secret for https://: token, or username and password",
    )
    artifact.add_argument(
        "--allow-loopback", action="store_true", help="let https:// lead to this machine; for tests"
    )


def _share_options(shares: argparse._ArgumentGroup) -> None:
    _option(shares, "cluster", "FILE", "cluster config: JSON, player name to host:port")
    _option(shares, "tls", "DIR", "ca.crt, tls.crt and tls.key, of role share")
    _option(
        shares,
        "protocol",
        "NAME",
        f"protocol that the players run: {' or '.join(PROTOCOLS)}",
        default=PROTOCOLS[0],
    )
    _option(
        shares,
        "out",
        "DIR",
        "write program.json and the share files here instead of delivering them",
    )
    _option(shares, "termination-message", "FILE", "write the result here, as JSON")


def _option(
    group: argparse._ArgumentGroup,
    name: str,
    form: str,
    text: str,
    *,
    required: bool = False,
    default: str | None = None,
) -> None:
    text += f" (default {default})" if default else ""
    value = os.environ.get("SECUREMODEL_" + name.upper().replace("-", "_"), default)
    group.add_argument(
        f"--{name}", metavar=form, help=text, default=value, required=required and value is None
    )


def options(args: argparse.Namespace) -> Options:
    """Raises ShareError if a value is not usable."""
    try:
        bound = float(args.input_bound)
    except ValueError:
        bound = 0.0
    if not MIN_INPUT_BOUND <= bound <= MAX_INPUT_BOUND:
        message = (
            f"the input bound {args.input_bound!r} is not a number from "
            f"{MIN_INPUT_BOUND:.2g} to {MAX_INPUT_BOUND:g}; correct spec.model.inputBound"
        )
        raise ShareError(Reason.RANGE_OVERFLOW, message)
    if args.protocol not in PROTOCOLS:
        raise ShareError(
            Reason.INTERNAL_ERROR,
            f"protocol {args.protocol!r} is not known to this release; use {', '.join(PROTOCOLS)}",
        )
    if not args.out and not (args.cluster and args.tls):
        raise ShareError(
            Reason.INTERNAL_ERROR,
            "there is nowhere to put the shares; give --cluster and --tls, or --out",
        )
    destination = (
        Path(args.out) if args.out else (load_cluster(Path(args.cluster)), Identity(Path(args.tls)))
    )
    return Options(
        model=args.model,
        sha256=args.sha256,
        source=_source(args),
        input_bound=bound,
        protocol=args.protocol,
        destination=destination,
    )


def _source(args: argparse.Namespace) -> Source:
    """How the artifact may be reached. Raises ShareError if the credentials are not usable."""
    folder = args.credentials_dir
    return Source(
        ca_bundle=Path(args.ca_bundle) if args.ca_bundle else None,
        authorization=read_authorization(Path(folder)) if folder else None,
        allow_loopback=args.allow_loopback,
    )


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    steps = Steps()
    try:
        result = run(options(args), steps)
        steps.say(f"done: digest {result['digest']}, generation {result['generation']}")
        status = 0
    except Exception as error:  # noqa: BLE001 - a reason instead of a traceback, which could show weights
        failure = error if isinstance(error, ShareError) else unexpected(error)
        message = failure.message[:MESSAGE_CHARACTERS]
        result = {"reason": str(failure.reason), "message": message, "retryable": failure.retryable}
        steps.say(f"{failure.reason}: {message}")
        for finding in failure.findings[1:]:
            steps.say(f"{finding.reason}: {finding.message}")
        status = EXIT_RETRYABLE if failure.retryable else EXIT_FINAL
    if args.termination_message:
        Path(args.termination_message).write_text(json.dumps(result))
    return status


def unexpected(error: Exception) -> ShareError:
    """An error that nobody foresaw: its type and place, not its text, which could hold weights."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    place = (
        f" at {Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}" if at is not None else ""
    )
    return ShareError(
        Reason.INTERNAL_ERROR,
        f"{type(error).__name__}{place}; please report this model",
        retryable=isinstance(error, (OSError, MemoryError)),
    )


if __name__ == "__main__":
    sys.exit(main())
