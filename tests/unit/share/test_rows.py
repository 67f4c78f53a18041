"""Rows that programs are tried on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from securemodel_share import rows

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPES = [(5,), (1,), (7, 2), (6, 5, 3), (4, 3, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
def test_drawn_rows_are_within_the_bound_reach_it_and_are_always_the_same(shape) -> None:
    drawn = rows.drawn(shape, -2.0, 6.0)
    assert drawn.all.shape[1:] == shape
    assert (drawn.all.min(), drawn.all.max()) == (-2.0, 6.0)
    assert np.isfinite(drawn.all).all()
    assert (rows.drawn(shape, -2.0, 6.0).all == drawn.all).all()
    assert shape == (1,) or len(np.unique(drawn.ordinary, axis=0)) == len(drawn.ordinary)


def test_the_corners_are_among_them() -> None:
    drawn = rows.drawn((3, 3, 2), 0.0, 1.0).extreme
    for corner in (np.zeros((3, 3, 2)), np.ones((3, 3, 2))):
        assert (drawn == corner).all(axis=(1, 2, 3)).any()
    assert ((drawn == 1).sum(axis=(1, 2, 3)) == 1).any(), "a single hot pixel"


def test_fewer_rows_are_spread_over_all_of_them() -> None:
    few = rows.given(np.arange(10.0).reshape(10, 1), (1,), 0.0, 9.0).at_most(4)
    assert few.ordinary.ravel().tolist() == [0, 3, 6, 9]
    assert few.at_most(100).ordinary.shape == (4, 1)


@pytest.mark.parametrize(
    ("values", "reason", "says"),
    [
        (np.zeros((2, 4)), "InvalidModel", "have the shape (2, 4), not (rows, 3)"),
        (np.zeros((0, 3)), "InvalidModel", "have the shape (0, 3)"),
        (np.array(["a"]), "InvalidModel", "not numbers"),
        (np.zeros((2, 3), complex), "InvalidModel", "not numbers"),
        (np.array([[0.0, np.nan, 0.0]]), "InvalidModel", "NaN"),
        (np.array([[0.0, 1.5, -1.0]]), "RangeOverflow", "hold the value 1.5, which is outside"),
        (np.array([[0.0, 0.5, -1.25]]), "RangeOverflow", "hold the value -1.25"),
        (np.array([[0, 255, 3]], np.uint8), "RangeOverflow", "the smallest is 0, the largest 255"),
    ],
)
def test_rows_that_are_not_this_models_are_refused(
    values: np.ndarray, reason: str, says: str, refused: Callable[..., None]
) -> None:
    refused(lambda: rows.given(values, (3,), -1.0, 1.0), reason, says, "calibration")


def test_rows_of_any_number_are_taken() -> None:
    given = rows.given(np.array([[0, 1, 1]], np.uint8), (3,), 0.0, 1.0)
    assert given.source == rows.OWN
    assert given.all.dtype == np.float64
    assert given.all.tolist() == [[0.0, 1.0, 1.0]]
