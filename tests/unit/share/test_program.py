"""The program: its bytes, which players know it by."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import networks
import reference
from securemodel_share.compile import Wanted, compile_model, record
from securemodel_share.ir.ops import reciprocal
from securemodel_share.passes import optimize
from securemodel_share.program import Program, fix
from securemodel_share.readers import read_model

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parent / "golden"


def program(data: bytes, bound: float = 1.0) -> Program:
    return compile_model(read_model(data), Wanted(low=-bound, high=bound)).program


@pytest.fixture(scope="module")
def digits() -> Program:
    return program((reference.DIGITS / "digits.h5").read_bytes())


def test_the_example_compiles_to_the_golden_program(digits: Program, renew_golden: bool) -> None:
    """Renewed by `make golden`. A line an instruction, so that a difference can be read; the digest
    is that of the canonical bytes.
    """
    document = json.loads(digits.encode())
    lines = ",\n".join(
        "    " + json.dumps(line, sort_keys=True) for line in document["instructions"]
    )
    text = f'{{\n  "digest": "{digits.digest}",\n  "instructions": [\n{lines}\n  ]\n}}\n'
    path = GOLDEN / "digits.json"
    if renew_golden:
        path.write_text(text)
    assert text == path.read_text()


RANDOM = np.random.default_rng(6)
WEIGHTS: dict[str, Callable[[tuple[int, ...]], np.ndarray]] = {
    "another seed": lambda s: RANDOM.normal(0, 0.2, s),
    "zeros": np.zeros,
    "ones": np.ones,
    "mostly zeros": lambda s: RANDOM.normal(0, 0.2, s) * (RANDOM.random(s) < 0.05),
    "negative": lambda s: -RANDOM.random(s),
    "large": lambda s: RANDOM.normal(0, 1e6, s),
    "smaller than the fixed point": lambda s: RANDOM.normal(0, 1e-20, s),
    "all alike": lambda s: np.full(s, 0.25),
}


@pytest.mark.parametrize("values", WEIGHTS)
@pytest.mark.parametrize("name", networks.NAMES)
def test_weights_leave_no_trace_in_the_program(name: str, values: str) -> None:
    """Before the ranges are proved: a model that fails there is not shared at all."""
    shape, layers, *_ = networks.ARCHITECTURES[name]
    other = networks.keras_file(shape, layers, WEIGHTS[values])
    assert (
        fix(optimize(record(read_model(other))), -1.0, 1.0).encode()
        == program(networks.make(name).file).encode()
    )


def test_another_architecture_leaves_a_trace() -> None:
    assert len({program(networks.make(name).file).digest for name in networks.NAMES}) == len(
        networks.NAMES
    )


def test_the_keras_version_and_layer_names_leave_no_trace() -> None:
    shape, layers, *_ = networks.ARCHITECTURES["seed"]
    old, new = (
        networks.keras_file(shape, layers, lambda s: np.full(s, 0.01), keras=k) for k in (2, 3)
    )
    assert program(old).encode() == program(new).encode()


def test_the_bytes_are_canonical(digits: Program) -> None:
    data = digits.encode()
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode(
        "ascii"
    )
    assert digits.digest == hashlib.sha256(data).hexdigest()
    assert b"." not in data
    assert b" " not in data


def test_the_input_bound_is_in_the_program(digits: Program) -> None:
    data = (reference.DIGITS / "digits.h5").read_bytes()
    assert digits.instructions[0].keys["bound"] == 2**16
    assert program(data, 0.5).instructions[0].keys["bound"] == 2**15
    assert program(data, 0.5).digest != digits.digest


@pytest.mark.parametrize("divisor", [2, 3, 6, 9, 25, 64])
def test_reciprocals_are_close(divisor: int) -> None:
    factor, shift = reciprocal(divisor)
    assert 1 <= shift <= 31
    assert factor / 2**shift == pytest.approx(1 / divisor, rel=1e-5)
