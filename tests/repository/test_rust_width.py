"""rustfmt leaves what it cannot break (strings, macros, comments after code) as long as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
WIDTH = 100


def test_no_line_of_rust_is_wider_than_rustfmts_limit() -> None:
    files = rust_files()

    assert files
    assert [line for file in sorted(files) for line in too_wide(file)] == []


def rust_files() -> set[str]:
    found = subprocess.run(
        ["git", "ls-files", "*.rs"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(found.stdout.split())


def too_wide(file: str) -> list[str]:
    lines = (ROOT / file).read_text().splitlines()
    return [f"{file}:{i}: {line}" for i, line in enumerate(lines, 1) if len(line) > WIDTH]
