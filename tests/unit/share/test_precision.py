"""What the fixed point changes, and what the client sees of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import networks
from securemodel.functions import apply
from securemodel_share.answers import FUNCTIONS, answer
from securemodel_share.compile import Wanted, compile_model
from securemodel_share.precision import Precision, finding, rounded_up
from securemodel_share.readers import read_here

if TYPE_CHECKING:
    from collections.abc import Callable

    from securemodel_share.model import Model

CONTRACT = Path(__file__).resolve().parents[3] / "contract/functions.json"
WORDS = json.loads(CONTRACT.read_text())
SETTINGS = {"axis": -1, "alpha": "0.3"}


def one(weight: float, **more: Any) -> Model:
    """A dense layer that reads four values of about 30,000."""
    file = networks.keras_file((4,), [networks.dense(2, **more)], lambda s: np.full(s, weight))
    return read_here(file)


LARGE = {"low": -32767.0, "high": 32767.0}


def test_tiny_weights_on_large_inputs_are_refused_and_accepted_by_name(
    refused: Callable[..., None],
) -> None:
    refused(
        lambda: compile_model(one(3e-7), Wanted(**LARGE)),
        "PrecisionLost",
        "changes outputs by up to 0.0",
        "0.001 is accepted unasked",
        "spec.model.tolerance",
    )
    assert compile_model(one(3e-7), Wanted(**LARGE, tolerance=0.1)).precision.error > 0.01


def test_the_error_is_of_the_largest_output() -> None:
    found = compile_model(one(0.3), Wanted(**LARGE)).precision
    assert found.error > 1e-3
    assert found.relative == pytest.approx(found.error / found.largest)
    assert found.relative < 1e-6


def test_the_error_of_what_the_client_gets_counts_too(refused: Callable[..., None]) -> None:
    """Small beside large logits, but not after a softmax."""
    random = np.random.default_rng(2)
    file = networks.keras_file(
        (40,),
        [networks.dense(2, activation="softmax")],
        lambda shape: random.normal(0, 1e-6, shape) if len(shape) == 1 else odd(shape),
    )
    refused(
        lambda: compile_model(read_here(file), Wanted(**LARGE)),
        "PrecisionLost",
        "changes what the client gets by up to",
    )


def odd(shape: tuple[int, ...]) -> np.ndarray:
    """Weights between two steps of the fixed point, which are as large for one class as for the
    other.
    """
    w = np.full(shape, 0.4 * 2.0**-20)
    w[:, 0] *= -1
    w[0] = 1.0
    return w


@pytest.mark.parametrize("row", WORDS, ids=[row["function"] for row in WORDS])
def test_what_follows_is_what_the_client_does(row: dict[str, Any]) -> None:
    x = np.random.default_rng(3).normal(0, 4, (5, 6))
    function = {"function": row["function"], **{key: SETTINGS[key] for key in row["takes"]}}
    assert answer([function], x) == pytest.approx(apply([function], x), rel=1e-6, abs=1e-8)


def test_all_functions_of_clients_are_known() -> None:
    assert set(FUNCTIONS) == {row["function"] for row in WORDS}


def test_an_error_without_end_is_a_finding_that_offers_no_tolerance() -> None:
    endless = Precision(error=1.0, largest=1.0, rows=1, after=float("inf"))
    found = finding(endless, None, "dense")
    assert found is not None
    assert "inf" in found.problem
    assert "tolerance" not in found.advice


@pytest.mark.parametrize(("value", "up"), [(0.0123, 0.02), (0.95, 1.0), (3.0, 3.0), (0.0, 0.0)])
def test_numbers_are_rounded_up_to_one_digit(value: float, up: float) -> None:
    assert rounded_up(value) == up
