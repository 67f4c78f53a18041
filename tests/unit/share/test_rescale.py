"""Powers of two that move between weights: the same program, the same results, better numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import networks
from securemodel_share import precision, ranges, rows
from securemodel_share.compile import Wanted, compile_model, record
from securemodel_share.execute import execute
from securemodel_share.passes import optimize
from securemodel_share.program import Program, fix
from securemodel_share.ranges import met, proof
from securemodel_share.readers import read_here
from securemodel_share.rescale import free, grouped, moved, rescale

TINY = 2.0**-9


def fixed(file: bytes) -> Program:
    """As it is before anything moves."""
    return fix(optimize(record(read_here(file))), -1.0, 1.0)


def two(first: float, second: float) -> bytes:
    """Two dense layers with a ReLU between them, with weights of these sizes."""
    random = np.random.default_rng(5)
    sizes = iter((first, first, second, second))

    def draw(shape: Any) -> Any:
        return next(sizes) * random.normal(0, 0.3, shape)

    layers = [networks.dense(16, activation="relu"), networks.dense(3)]
    return networks.keras_file((8,), layers, draw)


def tried(program: Program, file: bytes) -> np.ndarray:
    return rows.drawn(read_here(file).input_shape, -1.0, 1.0).all


@pytest.mark.parametrize("name", networks.NAMES)
def test_any_powers_of_the_groups_give_the_same_program_and_the_same_result(name: str) -> None:
    network = networks.make(name)
    program = fixed(network.file)
    groups = grouped(program)
    random = np.random.default_rng(1)
    chosen = {group: int(random.integers(-9, 10)) for group in free(program, groups)}
    other = moved(program, groups, dict.fromkeys(groups, 0) | chosen)
    assert other.encode() == program.encode()
    expected = execute(program, network.inputs)
    assert np.abs(execute(other, network.inputs) - expected).max() <= 1e-9 * np.abs(expected).max()


def test_there_are_groups_to_move() -> None:
    for name in ("seed", "residual", "separable", "branches"):
        program = fixed(networks.make(name).file)
        assert free(program, grouped(program)), name


def test_small_values_between_large_weights_become_precise() -> None:
    file = two(TINY, 1 / TINY)
    program = fixed(file)
    x = tried(program, file)
    scaled = rescale(program, met(program, x), proof(program))
    assert scaled.encode() == program.encode()
    before, after = (precision.measure(p, x).error for p in (program, scaled))
    assert after < before / 20
    assert compile_model(read_here(file), Wanted()).precision.error < before / 20


def test_values_beyond_the_window_come_back_into_it() -> None:
    file = two(2.0**15, 2.0**-15)
    program = fixed(file)
    assert proof(program).short
    compiled = compile_model(read_here(file), Wanted())
    assert str(compiled.ranges) == ranges.PROVED
    assert compiled.precision.relative < precision.TOLERANCE


def test_what_comes_close_on_rows_gets_room() -> None:
    """Large weights behind: precision alone would have left it there."""
    file = two(2.0**13, 2.0**5)
    program = fixed(file)
    x = tried(program, file)
    scaled = rescale(program, met(program, x), proof(program))
    margins = [ranges.calibration("rows", met(p, x)).margin for p in (program, scaled)]
    assert margins[0] < ranges.MARGIN
    assert margins[1] >= 4 * ranges.MARGIN


@pytest.mark.parametrize(("margin", "bits"), [(1.5, 0), (3.0, 0), (17.0, 3)])
def test_a_proof_keeps_a_bit_of_room(margin: float, bits: int) -> None:
    file = two(TINY, 1 / TINY)
    program = fixed(file)
    limits = [replace(limit, largest=limit.limit / margin) for limit in proof(program).limits]
    bounded = replace(proof(program), limits=tuple(limits))
    scaled = rescale(program, met(program, tried(program, file)), bounded)
    at = program.lines.index({"op": "weight", "scale": 16, "shape": [8, 16]})
    assert (scaled.weights[at] == program.weights[at] * 2**bits).all()


def test_nothing_moves_where_nothing_is_gained() -> None:
    file = two(1.0, 0.3)
    program = fixed(file)
    assert rescale(program, met(program, tried(program, file)), proof(program)) is program


def test_what_is_proved_stays_proved() -> None:
    for name in networks.NAMES:
        program = fixed(networks.make(name).file)
        x = tried(program, networks.make(name).file)
        before = proof(program)
        scaled = rescale(program, met(program, x), before)
        assert before.short or not proof(scaled).short, name


def test_a_power_that_weights_cannot_take_is_not_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    file = two(TINY, 1 / TINY)
    program = fixed(file)
    found, bounded = met(program, tried(program, file)), proof(program)
    monkeypatch.setattr(Program, "fits", lambda *_: False)
    assert rescale(program, found, bounded) is program
