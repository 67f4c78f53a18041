"""The folder between the half that reads model files and the half that holds the keys: whoever
reads it takes nothing for granted.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from securemodel_share.compiled import CompiledFolder, read_compiled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LINES = [
    {"bound": 65536, "op": "input", "shape": [2]},
    {"op": "weight", "scale": 16, "shape": [2, 3]},
    {"in": [0, 1], "op": "matmul", "shape": [3]},
    {"op": "weight", "scale": 32, "shape": [3]},
]
WEIGHTS = {1: np.arange(6).reshape(2, 3) - 3, 3: np.array([-(2**62) + 1, 0, 2**62 - 1])}


def canonical(**changes: Any) -> bytes:
    document = {"version": 1, "fraction_bits": 16, "instructions": LINES, **changes}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def written(folder: Path, weights: dict[int, np.ndarray] = WEIGHTS, **changes: Any) -> Path:
    CompiledFolder(program=canonical(**changes), weights=weights).write(folder)
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    public = {"labels": ["Füchse", "\U0001f98a"]}
    found = read_compiled(written(tmp_path / "new", public=public))
    assert found.program == canonical(public=public)
    assert found.parameters == 9
    assert set(found.weights) == set(WEIGHTS)
    for at, value in WEIGHTS.items():
        assert found.weights[at].dtype == np.int64
        np.testing.assert_array_equal(found.weights[at], value)


def without(at: int) -> dict[int, np.ndarray]:
    return {key: value for key, value in WEIGHTS.items() if key != at}


def weight(**changes: Any) -> list[Any]:
    return [*LINES[:3], LINES[3] | changes]


FOLDERS: dict[str, tuple[dict[str, Any], str]] = {
    "a missing tensor": ({"weights": without(3)}, "exactly the tensors"),
    "one tensor more": ({"weights": WEIGHTS | {2: WEIGHTS[3]}}, "exactly the tensors"),
    "another shape": ({"weights": WEIGHTS | {3: np.zeros((1, 3), np.int64)}}, "tensor 3"),
    "another type": ({"weights": WEIGHTS | {3: np.zeros(3)}}, "tensor 3 that is not int64"),
    "unsigned": ({"weights": WEIGHTS | {3: np.zeros(3, np.uint64)}}, "tensor 3 that is not int64"),
    "a large bias": ({"weights": WEIGHTS | {3: np.array([0, 0, 2**62])}}, "tensor 3 with values"),
    "a large negative bias": ({"weights": WEIGHTS | {3: np.array([0, 0, -(2**62)])}}, "tensor 3"),
    "the smallest of all": ({"weights": WEIGHTS | {3: np.array([0, 0, -(2**63)])}}, "tensor 3"),
    "a large kernel": ({"weights": WEIGHTS | {1: np.full((2, 3), 2**47)}}, "tensor 1 with values"),
    "another version": ({"version": 2}, "version 1"),
    "another fixed point": ({"fraction_bits": 20}, "16 fraction bits"),
    "no instructions": ({"instructions": None}, "list of instructions"),
    "no instruction": ({"instructions": ["weight"]}, "list of instructions"),
    "no shape": ({"instructions": weight(shape="3")}, "shape"),
    "a negative shape": ({"instructions": weight(shape=[-3])}, "shape"),
    "a scale of true": ({"instructions": weight(scale=True)}, "scale"),
    "a large scale": ({"instructions": weight(scale=63)}, "scale"),
    "NaN": ({"public": float("nan")}, "not JSON"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_damaged_folder_is_refused(
    case: str, tmp_path: Path, refused: Callable[..., None]
) -> None:
    changes, says = FOLDERS[case]
    folder = written(tmp_path, **changes)
    refused(lambda: read_compiled(folder), "InternalError", "compiled model is damaged", says)


PROGRAMS = {
    "spaces": (canonical().replace(b",", b", "), "canonical"),
    "twice the same key": (b'{"version":1,' + canonical()[1:], "canonical"),
    "another order": (
        b'{"version":1,' + canonical().replace(b',"version":1', b"")[1:],
        "canonical",
    ),
    "a list": (b"[]", "version 1"),
    "nested": (b"[" * 100_000, "not JSON"),
    "no text": (b"\xff\xfe", "not JSON"),
    "half": (canonical()[:-20], "not JSON"),
    "huge": (b" " * ((16 << 20) + 1), "larger than 16 MiB"),
}


@pytest.mark.parametrize("case", PROGRAMS)
def test_a_program_that_is_not_canonical_is_refused(
    case: str, tmp_path: Path, refused: Callable[..., None]
) -> None:
    program, says = PROGRAMS[case]
    (written(tmp_path) / "program.json").write_bytes(program)
    refused(lambda: read_compiled(tmp_path), "InternalError", "program.json", says)


def test_what_is_no_safetensors_file_is_refused(
    tmp_path: Path, refused: Callable[..., None]
) -> None:
    written(tmp_path)
    for data in (b"", b"\xff" * 64, (tmp_path / "weights.safetensors").read_bytes()[:-1]):
        (tmp_path / "weights.safetensors").write_bytes(data)
        refused(lambda: read_compiled(tmp_path), "InternalError", "not a safetensors file")
    save_file({"1.m": WEIGHTS[1]}, tmp_path / "weights.safetensors")
    refused(lambda: read_compiled(tmp_path), "InternalError", "exactly the tensors")


@pytest.mark.parametrize("name", ["program.json", "weights.safetensors"])
def test_nothing_but_a_file_is_opened(
    name: str, tmp_path: Path, refused: Callable[..., None]
) -> None:
    """A link could lead to the key; a pipe would keep the reader waiting for ever."""
    folder = written(tmp_path / "compiled")
    (folder / name).rename(tmp_path / "elsewhere")
    refused(lambda: read_compiled(folder), "InternalError", f"{name} is missing")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    refused(lambda: read_compiled(folder), "InternalError", f"{name} is not a regular file")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    refused(lambda: read_compiled(folder), "InternalError", f"{name} is not a regular file")
