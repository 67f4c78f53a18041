"""One version in all its places: `release_version.py` tells it, `release_version.py 1.2.3` sets it.

The chart's is the one that counts: it is what a user installs, and it names the images. Each
ecosystem reads a literal of its own best, so there are many, and test_version.py keeps them equal.
What is never released has 0.0.0 and keeps it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHART = "charts/securemodel/Chart.yaml"
FILES = (
    CHART,
    "client/pyproject.toml",
    "operator/pyproject.toml",
    "worker_image/share/pyproject.toml",
    "worker_image/player/**/Cargo.toml",
    "tests/bench/load/Cargo.toml",
    "uv.lock",
    "worker_image/player/**/Cargo.lock",
    "tests/bench/load/Cargo.lock",
)

NUMBER = r"(?!0\.0\.0\b)\d+\.\d+\.\d+"
IN_MANIFEST = re.compile(rf'^((?:version|appVersion)(?:: | = "))({NUMBER})', re.MULTILINE)
IN_LOCK = re.compile(rf'^(name = "securemodel[a-z-]*"\nversion = ")({NUMBER})', re.MULTILINE)


def versions(root: Path) -> dict[str, list[str]]:
    """What each file says."""
    return {
        str(file.relative_to(root)): [
            found[2] for found in pattern(file).finditer(file.read_text())
        ]
        for file in files(root)
    }


def set_version(root: Path, version: str) -> None:
    for file in files(root):
        file.write_text(pattern(file).sub(rf"\g<1>{version}", file.read_text()))


def files(root: Path) -> Iterator[Path]:
    return (file for name in FILES for file in sorted(root.glob(name)))


def pattern(file: Path) -> re.Pattern[str]:
    return IN_LOCK if file.suffix == ".lock" else IN_MANIFEST


def main(arguments: list[str]) -> None:
    if arguments:
        if not re.fullmatch(NUMBER, arguments[0]):
            sys.exit(f"{arguments[0]!r} is no version: three numbers, as in 1.2.3")

        set_version(ROOT, arguments[0])

    sys.stdout.write(f"{versions(ROOT)[CHART][0]}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
