"""The files and folders that documents name are there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    "CONTRIBUTING.md",
    "contract/README.md",
    "docs/architecture.md",
    "docs/operations.md",
    "docs/program.md",
    "docs/testing.md",
)
# after a slash each, so that a path may be cut short at the front: `ops/` is that of `mpc/src/ops/`
KNOWN = [
    f"/{path}"
    for path in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
]
CODE = re.compile(r"`([^`\s]+)`")
# a folder, or a file with an ending; `<name>.rs` stands for a file to come, `/status` is no file
PATH = re.compile(r"(?![-/])[\w./-]+(/|\.(json|md|npy|py|rs|sh|toml|yaml))")


def paths(text: str) -> list[str]:
    return [word for word in CODE.findall(text) if PATH.fullmatch(word)]


def exists(path: str) -> bool:
    if path.endswith("/"):
        return any(f"/{path}" in known for known in KNOWN)
    return any(known.endswith(f"/{path}") for known in KNOWN)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_paths_that_a_document_names_exist(name: str) -> None:
    assert [path for path in paths((ROOT / name).read_text()) if not exists(path)] == []


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("see `interpreter.rs` and `docs/wire.md`", True),
        ("a file in `operator/src/securemodel_operator/conditions/`", True),
        ("`/status` answers, `layers/<name>.py` is new", True),
        ("see `gone.rs`", False),
        ("see `eter.rs`", False),
        ("see `docs/interpreter.rs`", False),
        ("a file in `docs/gone/`", False),
    ],
)
def test_a_path_that_is_gone_is_seen(text: str, there: bool) -> None:
    assert all(map(exists, paths(text))) == there
