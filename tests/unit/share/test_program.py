"""The program: its bytes, which players know it by."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import graphs
import networks
import reference
from securemodel_share.compile import Wanted, compile_model, record
from securemodel_share.execute import execute
from securemodel_share.ir import ops
from securemodel_share.ir.graph import Graph
from securemodel_share.ir.ops import reciprocal
from securemodel_share.passes import optimize
from securemodel_share.program import Program, fix
from securemodel_share.ranges import bounds
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
@pytest.mark.parametrize("name", networks.CHAINS)
def test_weights_leave_no_trace_in_the_program(name: str, values: str) -> None:
    """Before the ranges are proved: a model that fails there is not shared at all."""
    shape, layers, *_ = networks.ARCHITECTURES[name]
    other = networks.keras_file(shape, layers, WEIGHTS[values])
    assert (
        fix(optimize(record(read_model(other))), -1.0, 1.0).encode()
        == program(networks.make(name).file).encode()
    )


@pytest.mark.parametrize("name", networks.GRAPHS)
def test_weights_of_graphs_leave_no_trace(name: str) -> None:
    one, other = (program(networks.make(name, seed).file).encode() for seed in (1, 2))
    assert one == other


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


@pytest.mark.parametrize(
    ("low", "high", "keys"),
    [
        (-1.0, 1.0, {"bound": 2**16}),
        (0.0, 255.0, {"bound": 255 * 2**16, "low": 0, "high": 255 * 2**16}),
        (-2.0, 0.5, {"bound": 2**17, "low": -(2**17), "high": 2**15}),
        (1.0, 2.0, {"bound": 2**17, "low": 2**16, "high": 2**17}),
    ],
)
def test_the_input_has_two_ends_where_they_differ(
    low: float, high: float, keys: dict[str, int]
) -> None:
    made = fix(recorded(), low, high)
    assert made.instructions[0].keys == {"op": "input", "shape": [3], **keys}
    assert made.input_range == (low, high)
    least, most = next(iter(bounds(made, {})))
    assert (least[0] / 2**16).tolist() == [low] * 3
    assert (most[0] / 2**16).tolist() == [high] * 3


def recorded(*steps: ops.Op) -> Graph:
    """Operations in a row on an input of three; those of two values read the input again."""
    graph = Graph()
    x = last = graph.append(ops.Input((3,)))
    for op in steps:
        takes_two = isinstance(op, (ops.Sum, ops.Concat))
        last = graph.append(op, (x, last) if takes_two else (last,))
    graph.append(ops.Output(), (last,))
    return graph


def test_nothing_times_a_value_is_nothing() -> None:
    """Players refuse a factor of 0, which a small one becomes."""
    for factor in (0.0, 1e-12):
        made = fix(recorded(ops.MultiplyConstant(factor)), -1.0, 1.0)
        assert [line.op.name for line in made.instructions] == ["input", "gather", *SCALED]
        assert (execute(made, RANDOM.uniform(-1, 1, (4, 3))) == 0).all()


SCALED = ["scale", "truncate_output"]


@pytest.mark.parametrize(
    ("steps", "ends"),
    [
        ([], SCALED),
        ([ops.Relu()], SCALED),
        ([ops.MultiplyConstant(0.3), ops.Sum()], SCALED),
        ([ops.MultiplyConstant(0.3), ops.Relu(), ops.Concat(0)], SCALED),
        ([ops.MultiplyConstant(0.3), ops.Sum(), ops.MultiplyConstant(0.3)], SCALED),
        ([ops.MultiplyConstant(0.3), ops.Relu(), ops.Relu()], ["relu", "output"]),
    ],
)
def test_an_output_is_truncated_on_every_path(steps: list[ops.Op], ends: list[str]) -> None:
    """Players refuse a program whose output is not."""
    made = fix(recorded(*steps), -1.0, 1.0)
    assert [line.op.name for line in made.instructions[-2:]] == ends
    x = RANDOM.uniform(-1, 1, (4, 3))
    wanted = graphs.evaluate(recorded(*steps), x)
    np.testing.assert_allclose(execute(made, x), wanted, atol=1e-6)


def test_what_is_public_is_in_the_program_and_in_its_digest() -> None:
    made = fix(recorded(), -1.0, 1.0)
    before = made.encode()
    assert "public" not in json.loads(before)
    made.public = {"labels": ["cat", "dög"]}
    assert json.loads(made.encode()) == json.loads(before) | {"public": made.public}
    assert b"d\\u00f6g" in made.encode()


@pytest.mark.parametrize("divisor", [2, 3, 6, 9, 25, 64])
def test_reciprocals_are_close(divisor: int) -> None:
    factor, shift = reciprocal(divisor)
    assert 1 <= shift <= 31
    assert factor / 2**shift == pytest.approx(1 / divisor, rel=1e-5)
