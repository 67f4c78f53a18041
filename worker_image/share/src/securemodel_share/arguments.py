"""The options of the command line: how they are spelled, and the values that they stand for."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

from .deliver import Identity, load_cluster
from .errors import Reason, ShareError
from .handover import Options
from .request import Artifact, Request, labels
from .shares import PROTOCOLS
from .sources import Source
from .sources.credentials import read_authorization


def artifact_options(parser: argparse.ArgumentParser) -> None:
    """What is to be compiled."""
    group = parser.add_argument_group("model")
    option(group, "model", "URI", "path or https:// address of the model file", required=True)
    option(group, "sha256", "HEX", "SHA-256 that the file must have", required=True)
    option(group, "architecture", "URI", "what model.to_json() wrote, for a file of weights alone")
    option(group, "architecture-sha256", "HEX", "SHA-256 that it must have")
    option(
        group, "ca-bundle", "FILE", "PEM file: CAs to trust for https:// instead of the system's"
    )
    option(
        group,
        "credentials-dir",
        "DIR",
        "mounted Secret for the server of --model: token, or username and password",
    )
    group.add_argument(
        "--allow-loopback", action="store_true", help="let https:// lead to this machine; for tests"
    )
    _numbers(parser.add_argument_group("what its owner says of it"))


def _numbers(group: argparse._ArgumentGroup) -> None:
    option(
        group,
        "input-bound",
        "NUMBER",
        "largest absolute value that a client may send (default 1.0)",
    )
    option(group, "input-low", "NUMBER", "smallest value that a client may send, with --input-high")
    option(group, "input-high", "NUMBER", "largest value that a client may send, with --input-low")
    group.add_argument(
        "--labels", metavar="JSON", action="append", default=[],
        help="names of the classes, a list of strings; several lists are joined",
    )  # fmt: skip
    option(group, "calibration", "URI", ".npy file of rows to measure ranges on")
    option(group, "calibration-sha256", "HEX", "SHA-256 that it must have")
    text = "Proved: refuse ranges that are not proved; Calibrated: take ones that rows show"
    option(group, "ranges", "NAME", text, default=Request.ranges)
    option(group, "tolerance", "NUMBER", "largest error that is accepted")


def player_options(parser: argparse.ArgumentParser, *, out: bool) -> None:
    """With whom to share. `out`: files on this machine are offered too."""
    group = parser.add_argument_group("shares")
    option(group, "cluster", "FILE", "cluster config: JSON, player name to host:port")
    option(group, "tls", "DIR", "ca.crt, tls.crt and tls.key, of role share")
    known = f"protocol that the players run: {' or '.join(PROTOCOLS)}"
    option(group, "protocol", "NAME", known, default=PROTOCOLS[0])
    if out:
        text = "write program.json and the share files here instead of delivering them"
        option(group, "out", "DIR", text)


def compiled_option(parser: argparse.ArgumentParser, text: str) -> None:
    """The folder between the two halves."""
    option(parser, "compiled", "DIR", text, required=True)


def result_option(parser: argparse.ArgumentParser) -> None:
    """Where the result goes."""
    option(parser, "termination-message", "FILE", "write the result here, as JSON")


def option(
    group: argparse._ActionsContainer,
    name: str,
    form: str,
    text: str,
    *,
    required: bool = False,
    default: str | None = None,
) -> None:
    """One more option with a value; the environment may give it instead."""
    text += f" (default {default})" if default else ""
    value = os.environ.get("SECUREMODEL_" + name.upper().replace("-", "_"), default)
    group.add_argument(
        f"--{name}", metavar=form, help=text, default=value, required=required and value is None
    )


def request(args: argparse.Namespace) -> Request:
    """What is to be compiled. Raises ShareError if a value is not usable."""
    low, high = _input_range(args)
    return Request(
        model=Artifact(uri=args.model, sha256=args.sha256, field="spec.model"),
        source=_source(args),
        low=low,
        high=high,
        architecture=_artifact(args, "architecture"),
        calibration=_artifact(args, "calibration"),
        labels=_labels(args.labels or _from_environment("SECUREMODEL_LABELS")),
        ranges=args.ranges,
        tolerance=None if args.tolerance is None else _number(args.tolerance),
    )


def options(args: argparse.Namespace) -> Options:
    """With whom to share. Raises ShareError if a value is not usable."""
    protocol = args.protocol
    if protocol not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise _unusable(f"protocol {protocol!r} is not known to this release; use {known}")
    if out := getattr(args, "out", None):
        return Options(protocol=protocol, destination=Path(out))
    if not (args.cluster and args.tls):
        offered = ", or --out" if hasattr(args, "out") else ""
        raise _unusable(
            f"there is nowhere to put the shares; give --cluster and --tls{offered}",
        )
    players = load_cluster(Path(args.cluster))
    return Options(protocol=protocol, destination=(players, Identity(Path(args.tls))))


def _unusable(message: str) -> ShareError:
    return ShareError(Reason.INTERNAL_ERROR, message)


def _source(args: argparse.Namespace) -> Source:
    """How the artifacts may be reached. Raises ShareError if the credentials are not usable."""
    folder = args.credentials_dir
    return Source(
        ca_bundle=Path(args.ca_bundle) if args.ca_bundle else None,
        authorization=read_authorization(Path(folder)) if folder else None,
        allow_loopback=args.allow_loopback,
    )


def _artifact(args: argparse.Namespace, name: str) -> Artifact | None:
    uri, sha256 = getattr(args, name), getattr(args, f"{name}_sha256")
    if bool(uri) != bool(sha256):
        raise _unusable(f"give --{name} and --{name}-sha256 together")
    return Artifact(uri=uri, sha256=sha256, field=f"spec.model.{name}") if uri else None


def _number(text: str | None) -> float:
    """NaN for what is no number."""
    try:
        return float(text or "")
    except ValueError:
        return math.nan


def _input_range(args: argparse.Namespace) -> tuple[float, float]:
    """Which numbers are usable is for the compiler to say."""
    if args.input_low is None and args.input_high is None:
        bound = _number("1.0" if args.input_bound is None else args.input_bound)
        return -bound, bound
    if args.input_bound is not None:
        raise _unusable("give --input-bound, or --input-low and --input-high, not both")
    return _number(args.input_low), _number(args.input_high)


def _from_environment(name: str) -> list[str]:
    return [os.environ[name]] if name in os.environ else []


def _labels(lists: list[str]) -> tuple[str, ...]:
    try:
        return tuple(label for text in lists for label in labels(text))
    except ValueError:
        raise _unusable("--labels is not a JSON list of strings") from None
