"""Runs the operator."""

from __future__ import annotations

import argparse
import logging
import sys

import kopf

from .handlers import build
from .settings import SettingsError, load

NOISY = ("httpx", "kopf.activities", "kopf.objects", "aiohttp.access", "httpcore")


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    _log(logging.DEBUG if args.verbose else logging.INFO)
    try:
        load()
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2

    kopf.run(
        registry=build(),
        standalone=True,
        clusterwide=not args.namespace,
        namespaces=args.namespace,
        liveness_endpoint=args.liveness,
        memo=kopf.Memo(),
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="securemodel-operator",
        description="Kubernetes operator for SecureModel. Configured by the environment "
        "(the Helm chart sets it): PLAYER_IMAGE and SHARE_IMAGE are required.",
    )
    parser.add_argument(
        "--namespace",
        action="append",
        default=[],
        help="watch this namespace only; may be repeated (default: all)",
    )
    parser.add_argument(
        "--liveness",
        default="http://0.0.0.0:8080/healthz",
        help="where the liveness probe is answered",
    )
    parser.add_argument("--verbose", action="store_true", help="log more")
    return parser


def _log(level: int) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
