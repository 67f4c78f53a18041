"""The command `securemodel check`: everything about a file before anything is scheduled."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import networks
import reference
from securemodel import cli
from securemodel.errors import InputError
from securemodel_share.report import suggestion

SOFTMAX = networks.dense(3, activation="softmax")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A model that ends in softmax."""
    random = np.random.default_rng(1)
    layers = [networks.dense(8, activation="relu"), SOFTMAX]
    path = tmp_path / "model.h5"
    path.write_bytes(networks.keras_file((5,), layers, lambda s: random.normal(0, 0.5, s)))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(2).uniform(0, 1, (6, 5)))
    return path


def run(*arguments: object, status: int = 0) -> str:
    """What the client's command line prints."""
    done = CliRunner().invoke(cli.app, ["check", *map(str, arguments)])
    assert done.exit_code == status, done.output
    return done.stdout


def document(*arguments: object, status: int = 0) -> dict[str, Any]:
    found = json.loads(run(*arguments, "--format", "json", status=status))
    assert found["servable"] == (status == 0)
    return found


def test_a_model_that_can_be_served_is_described_for_machines(file: Path) -> None:
    found = document(file, "--input-range", 0, 1, "--labels", '["a", "b", "c"]')
    assert found["findings"] == []
    assert found["ranges"] == "Proved"
    assert found["margin"] > 1
    assert found["public"] == {
        "functions": [{"function": "softmax", "axis": -1}],
        "labels": ["a", "b", "c"],
    }
    assert (found["input"]["low"], found["input"]["high"]) == (0, 1)
    assert found["precision"]["relative"] < 1e-3
    costs = {(c["protocol"], c["batch"]): c for c in found["costs"]}
    assert set(costs) == {(p, b) for p in ("SecureNN", "ASTRA") for b in (1, 32)}
    for c in costs.values():
        assert c["ms_at_20_ms"] == pytest.approx(c["ms"] + 20 * c["hops"], abs=0.01)
    assert [layer["instructions"] for layer in found["layers"]] == [
        [],
        ["matmul", "add", "truncate_relu"],
        ["matmul", "add", "truncate_output"],
    ]


def test_the_output_is_what_a_client_would_get(file: Path, data: Path, tmp_path: Path) -> None:
    document(file, "--data", data, "--output", tmp_path / "y.npy")
    y = np.load(tmp_path / "y.npy")
    expected = reference.predict(file.read_bytes(), np.load(data))
    assert y.sum(-1) == pytest.approx(np.ones(6))
    assert np.abs(y - expected).max() < 1e-3


def test_the_output_is_in_fixed_point(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "logits.h5"
    path.write_bytes(networks.keras_file((5,), [networks.dense(3)], lambda s: np.full(s, 0.3)))
    document(path, "--data", data, "--output", tmp_path / "y.npy")
    units = np.load(tmp_path / "y.npy") * 2**16
    assert (units == np.rint(units)).all()


def test_people_read_what_becomes_of_it(file: Path, data: Path) -> None:
    text = run(file, "--data", data, "--labels", '["a", "b", "c"]')
    for words in (
        "model.h5: it can be served",
        "dense_0  Dense       matmul, add, truncate_relu",
        "softmax(axis=-1)",
        "3: a, b, c",
        "Ranges: Proved",
        "the input of a ReLU",
        "Rounding: off by at most",
        "after the functions at the end",
        "SecureNN  1 ",
        "Your 6 rows hold values from",
        "--input-range 0 1 suffices",
    ):
        assert words in text, text


def broken() -> bytes:
    layers = [("GRU", {}), networks.dense(3, activation="cubic"), ("Lambda", {})]
    return networks.keras_file((5,), layers, np.zeros)


def test_all_findings_come_at_once_and_without_tensorflow(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(broken())
    code = (
        "import sys; from securemodel_share.check import command; "
        f"status = command([{str(path)!r}, '--format', 'json'], None); "
        "sys.exit(status if 'tensorflow' not in sys.modules else 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    found = json.loads(done.stdout)
    assert not found["servable"]
    layers = [finding["layer"] for finding in found["findings"]]
    assert layers == ["gru_0", "dense_1", "lambda_2"]
    for finding in found["findings"]:
        assert finding["reason"] == "UnsupportedLayer"
        assert repr(finding["layer"]) in finding["message"]


def test_people_see_findings_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(broken())
    first, *others = run(path, status=2).splitlines()
    assert first == "model.h5: it cannot be served, 3 findings"
    assert len(others) == 3


def test_what_is_no_model_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "page.h5"
    path.write_text("<!doctype html><html><body>404</body></html>")
    (finding,) = document(path, status=2)["findings"]
    assert finding["reason"] == "InvalidModel"
    assert finding["layer"] is None


def test_data_beyond_the_bound_is_refused_and_a_range_suggested(file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((2, 5), 255, np.uint8))
    found = document(file, "--data", tmp_path / "x.npy", status=2)
    assert "hold the value 255" in found["findings"][0]["message"]
    assert found["suggested"] == {"inputRange": {"low": "0", "high": "255"}}
    document(file, "--data", tmp_path / "x.npy", "--input-range", 0, 255)


@pytest.mark.parametrize(
    ("values", "suggested"),
    [
        ([0, 1], {"inputRange": {"low": "0", "high": "1"}}),
        ([0, 255], {"inputRange": {"low": "0", "high": "255"}}),
        ([-2.51, 1], {"inputBound": "5"}),
        ([-0.031, 0.04], {"inputBound": "0.05"}),
        ([0, 0.97], {"inputRange": {"low": "0", "high": "1"}}),
        ([0, 256], {"inputRange": {"low": "0", "high": "500"}}),
        ([0, 0], {"inputRange": {"low": "0", "high": "1"}}),
    ],
)
def test_the_bound_that_data_suggest(values: list[float], suggested: dict[str, Any]) -> None:
    assert suggestion(np.array(values)) == suggested


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--labels", '["a"]'], "1 labels for 3 outputs"),
        (["--tolerance", "1e-9"], "(absolute, or of the largest one), and 1e-09 is accepted;"),
    ],
)
def test_what_the_owner_says_is_checked(file: Path, arguments: list[str], says: str) -> None:
    found = document(file, *arguments, status=2)
    assert any(says in finding["message"] for finding in found["findings"]), found


@pytest.mark.parametrize(
    "arguments",
    [
        ["--input-bound", "0"],
        ["--input-bound", "nan"],
        ["--input-bound", "32768"],
        ["--input-range", "1", "1"],
        ["--input-bound", "1", "--input-range", "0", "1"],
        ["--labels", "cat, dog"],
        ["--labels", "[1]"],
        ["--data", "nothing.npy"],
        ["--output", "y.npy"],
        ["--tolerance", "0"],
        ["--tolerance", "inf"],
    ],
)
def test_a_wrong_command_line_is_no_verdict(file: Path, arguments: list[str]) -> None:
    assert run(file, *arguments, status=2) == ""


def test_without_the_share_step_the_command_says_what_to_install(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda **_: ())
    done = CliRunner().invoke(cli.app, ["check", str(file)])
    assert isinstance(done.exception, InputError)
    assert "securemodel-share" in str(done.exception)
