from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import release_version as version

ROOT = version.ROOT


def test_all_places_say_the_same() -> None:
    found = version.versions(ROOT)

    expected = found[version.CHART][0]
    assert {
        name: set(said) - {expected} for name, said in found.items() if set(said) - {expected}
    } == {}


def test_all_that_is_released_says_one() -> None:
    found = version.versions(ROOT)

    released = {
        "charts/securemodel/Chart.yaml": 2,
        "client/pyproject.toml": 1,
        "operator/pyproject.toml": 1,
        "worker_image/share/pyproject.toml": 1,
        "worker_image/player/Cargo.toml": 1,
        "uv.lock": 3,
    }
    assert {name: len(found[name]) for name in released} == released


def test_setting_a_version_changes_those_places_alone(tmp_path: Path) -> None:
    before = version.versions(ROOT)
    for name in before:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)

    version.set_version(tmp_path, "9.8.7")

    assert version.versions(tmp_path) == {
        name: ["9.8.7"] * len(said) for name, said in before.items()
    }
    for name, said in before.items():
        assert changed_lines(ROOT / name, tmp_path / name) == len(said), name


def changed_lines(one: Path, other: Path) -> int:
    pairs = zip(one.read_text().splitlines(), other.read_text().splitlines(), strict=True)
    return sum(a != b for a, b in pairs)


def test_a_version_of_another_form_is_refused() -> None:
    script = str(Path(version.__file__))
    done = subprocess.run(
        [sys.executable, script, "v1.2"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "three numbers" in done.stderr
