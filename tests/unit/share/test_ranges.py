"""Range analysis: sound at its edge, and errors that name the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securemodel_share.execute import execute_fixed_values
from securemodel_share.program import Program
from securemodel_share.ranges import bounds, check_ranges

if TYPE_CHECKING:
    from collections.abc import Callable


def dense(
    weight: float,
    bias: float = 0.0,
    *,
    bound: float = 1.0,
    shift: int = 16,
    end: str = "truncate_relu",
) -> Program:
    """One input, one weight, one bias."""
    p = Program()
    x = p.append("input", (1,), "", bound=round(bound * 2**16))
    w = p.append("weight", (1, 1), "dense_7", scale=16)
    p.weights[w] = np.full((1, 1), weight)
    z = p.append("matmul", (1,), "dense_7", (x, w))
    b = p.append("weight", (1,), "dense_7", scale=16 + shift)
    p.weights[b] = np.full(1, bias)
    z = p.append("add", (1,), "dense_7", (z, b))
    y = p.append(end, (1,), "dense_7", (z,), shift=shift)
    if end != "truncate_output":
        p.append("output", (1,), "dense_7", (y,))
    return p


def check(program: Program) -> None:
    check_ranges(program, program.fixed_weights())


def test_a_relu_may_see_anything_below_its_window() -> None:
    check(dense(2.0**15 * (1 - 2.0**-20)))
    check(dense(-(2.0**15) * (1 - 2.0**-20)))


@pytest.mark.parametrize("weight", [2.0**15, -(2.0**15)])
def test_a_relu_beyond_its_window_names_the_layer(
    weight: float, refused: Callable[..., None]
) -> None:
    refused(
        lambda: check(dense(weight)),
        "RangeOverflow",
        "'dense_7'",
        "the input of a ReLU",
        "for inputs up to 1",
        "lower spec.model.inputBound",
    )


def pooled(bound: float, relu: bool = False) -> Program:
    """Two inputs, the larger of them."""
    p = Program()
    x = p.append("input", (1, 2, 1), "", bound=round(bound * 2**16))
    if relu:
        x = p.append("relu", (1, 2, 1), "", (x,))
    y = p.append("max_pool", (1, 1, 1), "pool_3", (x,), window=[1, 2], stride=[1, 1])
    p.append("output", (1, 1, 1), "", (y,))
    return p


def test_values_of_one_pooling_window_may_differ_by_anything_below_the_comparison_window(
    refused: Callable[..., None],
) -> None:
    check(pooled(2.0**14 - 2.0**-5))
    refused(
        lambda: check(pooled(2.0**14)),
        "RangeOverflow",
        "'pool_3'",
        "the difference of two values that a max pooling compares",
        "for inputs up to 16384",
    )
    check(pooled(2.0**15 - 2.0**-5, relu=True))


def test_a_max_pooling_is_bounded_by_the_largest_bounds_of_its_window() -> None:
    p = Program()
    x = p.append("input", (2, 2, 1), "", bound=2**16)
    w = p.append("weight", (1, 1, 1, 2), "", scale=16)
    p.weights[w] = np.array([1.0, 3.0]).reshape(1, 1, 1, 2)
    z = p.append("conv2d", (2, 2, 2), "", (x, w), stride=[1, 1])
    b = p.append("weight", (2,), "", scale=32)
    p.weights[b] = np.array([10.0, -5.0])
    z = p.append("add", (2, 2, 2), "", (z, b))
    y = p.append("truncate", (2, 2, 2), "", (z,), shift=16)
    p.append("max_pool", (1, 1, 2), "", (y,), window=[2, 2], stride=[1, 1])
    low, high = list(bounds(p, p.fixed_weights()))[-1]
    assert (low.ravel() / 2**16).tolist() == [9.0, -8.0]
    assert ((high.ravel() - 1) / 2**16).tolist() == [11.0, -2.0]


def test_a_bias_counts() -> None:
    check(dense(2.0**14, 2.0**13))
    with pytest.raises(Exception, match="dense_7"):
        check(dense(2.0**14, 2.0**14))


def test_the_input_bound_counts(refused: Callable[..., None]) -> None:
    check(dense(2.0**10, bound=16))
    refused(lambda: check(dense(2.0**10, bound=32)), "RangeOverflow", "for inputs up to 32")


def test_a_truncation_may_see_anything_below_its_range(refused: Callable[..., None]) -> None:
    largest = 2.0**30 * (1 - 2.0**-20)
    check(dense(largest, bound=1.0, end="truncate_output"))
    refused(
        lambda: check(dense(largest, bound=2.0, end="truncate_output")),
        "RangeOverflow",
        "'dense_7'",
        "a product",
    )


def test_a_truncation_may_give_one_more() -> None:
    program = dense(1.0, end="truncate")
    low, high = list(bounds(program, program.fixed_weights()))[-1]
    assert (low.item(), high.item()) == (-(2.0**16), 2.0**16 + 1)


def test_weights_beyond_the_fixed_point_name_the_layer(refused: Callable[..., None]) -> None:
    refused(
        lambda: dense(2.0**31).fixed_weights(),
        "WeightsOutOfRange",
        "'dense_7'",
        "too large for the fixed point",
        "save it again",
    )
    refused(lambda: dense(1.0, 2.0**30).fixed_weights(), "WeightsOutOfRange", "'dense_7'")


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_value_leaves_its_bounds(seed: int) -> None:
    """Every value of a small network, in fixed point, on inputs at the edge of the bound and
    inside.
    """
    random = np.random.default_rng(seed)
    p = Program()
    x = p.append("input", (6, 6, 2), "", bound=2**16)
    x = p.append("sum_pool", (5, 5, 2), "", (x,), window=[2, 2], dilation=[1, 1], stride=[1, 1])
    w = p.append("weight", (2, 2, 2, 3), "", scale=16)
    p.weights[w] = random.normal(0, 1, (2, 2, 2, 3))
    z = p.append("conv2d", (4, 4, 3), "", (x, w), stride=[1, 1])
    b = p.append("weight", (3,), "", scale=34)
    p.weights[b] = random.normal(0, 1, 3)
    z = p.append("add", (4, 4, 3), "", (z, b))
    y = p.append("truncate_relu", (4, 4, 3), "", (z,), shift=18)
    y = p.append("max_pool", (3, 2, 3), "", (y,), window=[2, 2], stride=[1, 2])
    y = p.append("reshape", (18,), "", (y,))
    w = p.append("weight", (18, 2), "", scale=16)
    p.weights[w] = random.normal(0, 1, (18, 2))
    z = p.append("matmul", (2,), "", (y, w))
    p.append("truncate_output", (2,), "", (z,), shift=16)
    inputs = np.where(
        random.random((20, 6, 6, 2)) < 0.5,
        random.choice([-1.0, 1.0], (20, 6, 6, 2)),
        random.uniform(-1, 1, (20, 6, 6, 2)),
    )
    for (low, high), value in zip(
        bounds(p, p.fixed_weights()), execute_fixed_values(p, inputs, random), strict=True
    ):
        assert (low <= value).all()
        assert (value <= high).all()
