"""A compiled model in a folder: what the part that reads model files hands to the part that holds
the share certificate.

The two trust each other as little as possible. Whoever reads the folder takes nothing of it for
granted: a model file could have taken over the process that wrote it.
"""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .errors import Reason, ShareError
from .ir.ops import FRACTION_BITS
from .program import BIAS_LIMIT, WEIGHT_LIMIT

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "program.json"
WEIGHTS = "weights.safetensors"
# a program of 4096 instructions has some hundred kB; labels and gathered indices come on top
MAX_PROGRAM_BYTES = 16 << 20
MAX_SCALE = 62


@dataclass(frozen=True, kw_only=True)
class CompiledFolder:
    """A program's canonical bytes, and its weights by instruction: signed ring elements, int64."""

    program: bytes
    weights: dict[int, np.ndarray]

    @property
    def parameters(self) -> int:
        """How many weights there are."""
        return sum(int(w.size) for w in self.weights.values())

    def write(self, folder: Path) -> None:
        """Into `folder`, which is made if it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PROGRAM).write_bytes(self.program)
        tensors = {str(at): np.ascontiguousarray(w) for at, w in self.weights.items()}
        save_file(tensors, folder / WEIGHTS)


def read_compiled(folder: Path) -> CompiledFolder:
    """What `write` left.

    Raises:
        ShareError: InternalError, if the program is not canonical JSON of bounded size, or the
            tensors are not exactly those that its instructions ask for.
    """
    program = _bytes(folder / PROGRAM)
    return CompiledFolder(program=program, weights=_weights(folder / WEIGHTS, _wanted(program)))


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """A weight as its instruction has it. Its values are less than `limit` in absolute value."""

    shape: tuple[int, ...]
    limit: int


def _refuse(file: str, problem: str) -> NoReturn:
    message = (
        f"the compiled model is damaged: {file} {problem}; compile it again, and report this model "
        "if that does not help"
    )
    raise ShareError(Reason.INTERNAL_ERROR, message)


def _regular(path: Path) -> Path:
    """The path of a file: a link would lead out of the folder, a pipe would keep us waiting."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        _refuse(path.name, "is missing")
    if not stat.S_ISREG(mode):
        _refuse(path.name, "is not a regular file")
    return path


def _bytes(path: Path) -> bytes:
    if _regular(path).stat().st_size > MAX_PROGRAM_BYTES:
        _refuse(path.name, f"is larger than {MAX_PROGRAM_BYTES >> 20} MiB")
    return path.read_bytes()


def _wanted(program: bytes) -> dict[int, _Wanted]:
    """The weights of a program, by instruction. All else in it is for the players to check."""
    instructions = _document(program)["instructions"]
    return {at: _weight(line) for at, line in enumerate(instructions) if line.get("op") == "weight"}


def _document(program: bytes) -> dict[str, Any]:
    try:
        document = json.loads(program, parse_constant=_no_number)
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":")).encode() == program
    except (ValueError, RecursionError):
        _refuse(PROGRAM, "is not JSON")
    if not canonical:
        _refuse(PROGRAM, "is not in its canonical form")
    known = isinstance(document, dict) and document.get("version") == 1
    if not known or document.get("fraction_bits") != FRACTION_BITS:
        _refuse(PROGRAM, f"is not a program of version 1 with {FRACTION_BITS} fraction bits")
    lines = document.get("instructions")
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        _refuse(PROGRAM, "has no list of instructions")
    return dict(document)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _weight(line: dict[str, Any]) -> _Wanted:
    shape, scale = line.get("shape"), line.get("scale")
    if not isinstance(shape, list) or not all(type(d) is int and d > 0 for d in shape):
        _refuse(PROGRAM, "has a weight whose shape is no list of positive integers")
    if type(scale) is not int or not FRACTION_BITS <= scale <= MAX_SCALE:
        _refuse(PROGRAM, f"has a weight whose scale is not {FRACTION_BITS} to {MAX_SCALE}")
    limit = WEIGHT_LIMIT if scale == FRACTION_BITS else BIAS_LIMIT
    return _Wanted(shape=tuple(shape), limit=int(limit))


def _weights(path: Path, wanted: dict[int, _Wanted]) -> dict[int, np.ndarray]:
    try:
        with safe_open(_regular(path), "np") as file:
            if set(file.keys()) != {str(at) for at in wanted}:
                _refuse(WEIGHTS, "has not exactly the tensors that the program's weights name")
            return {at: _tensor(file, at, weight) for at, weight in wanted.items()}
    except SafetensorError:
        _refuse(WEIGHTS, "is not a safetensors file")


def _tensor(file: Any, at: int, wanted: _Wanted) -> np.ndarray:
    lying = file.get_slice(str(at))
    if lying.get_dtype() != "I64" or tuple(lying.get_shape()) != wanted.shape:
        _refuse(WEIGHTS, f"has a tensor {at} that is not int64 of the shape {wanted.shape}")
    value: np.ndarray = file.get_tensor(str(at))
    if not ((-wanted.limit < value) & (value < wanted.limit)).all():
        _refuse(WEIGHTS, f"has a tensor {at} with values too large for its scale")
    return value
