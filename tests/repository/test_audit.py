from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("audit.sh")

LICENCES, FETCH, ADVISORIES = "bans", "fetch", "--offline"


def audit(cache: Path, *, cargo_deny: dict[str, int], uv: int) -> subprocess.CompletedProcess[str]:
    """Runs the audit with stand-ins; `cargo_deny` has an exit status by a word of its arguments."""
    version = re.search(r"^CARGO_DENY=(.+)$", SCRIPT.read_text(), re.MULTILINE)
    assert version
    cases = "".join(f"*' {word} '*) exit {status};; " for word, status in cargo_deny.items())

    stand_in(cache / "bin/cargo-deny", f'case " $* " in {cases} esac')
    stand_in(cache / f"bin/.cargo-deny-{version[1]}", "")
    stand_in(cache / "bin/uv", f"exit {uv}")

    environment = os.environ | {"SECUREMODEL_CACHE": str(cache)}
    return subprocess.run(
        ["bash", SCRIPT], env=environment, capture_output=True, text=True, check=False
    )


def stand_in(file: Path, script: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_all_was_checked_and_nothing_found(tmp_path: Path) -> None:
    done = audit(tmp_path, cargo_deny={}, uv=0)

    assert done.returncode == 0
    assert "all was checked, nothing was found" in done.stderr


@pytest.mark.parametrize(
    ("cargo_deny", "uv"), [({LICENCES: 6}, 0), ({ADVISORIES: 1}, 0), ({}, 1), ({FETCH: 1}, 1)]
)
def test_a_finding_fails(tmp_path: Path, cargo_deny: dict[str, int], uv: int) -> None:
    done = audit(tmp_path, cargo_deny=cargo_deny, uv=uv)

    assert done.returncode == 1
    assert "FOUND" in done.stderr


@pytest.mark.parametrize(("cargo_deny", "uv"), [({LICENCES: 1}, 0), ({FETCH: 1}, 0), ({}, 2)])
def test_what_could_not_be_checked_is_no_pass(
    tmp_path: Path, cargo_deny: dict[str, int], uv: int
) -> None:
    done = audit(tmp_path, cargo_deny=cargo_deny, uv=uv)

    assert done.returncode == 3
    assert "NOT CHECKED" in done.stderr
    assert "FOUND" not in done.stderr
