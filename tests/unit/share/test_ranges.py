"""Range analysis: sound at its edge, and errors that name the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import networks
from securemodel_share import rows
from securemodel_share.ascent import ascend, slope
from securemodel_share.compile import Wanted, compile_model, record
from securemodel_share.errors import refusal
from securemodel_share.execute import execute_fixed_values
from securemodel_share.ir import ops
from securemodel_share.passes import optimize
from securemodel_share.program import Program, fix
from securemodel_share.ranges import MARGIN, bounds, calibration, findings, met, proof
from securemodel_share.readers import read_here

if TYPE_CHECKING:
    from collections.abc import Callable


def dense(
    weight: float,
    bias: float = 0.0,
    *,
    bound: float = 1.0,
    shift: int = 16,
    end: type[ops.Truncation] = ops.TruncateRelu,
) -> Program:
    """One input, one weight, one bias."""
    p = Program()
    x = p.append(ops.Input((1,), round(-bound * 2**16), round(bound * 2**16)))
    w = p.append_weight(np.full((1, 1), weight), 16, "dense_7")
    z = p.append(ops.MatMul(), (x, w), "dense_7")
    b = p.append_weight(np.full(1, bias), 16 + shift, "dense_7")
    z = p.append(ops.Add(), (z, b), "dense_7")
    y = p.append(end(shift), (z,), "dense_7")
    if end is not ops.TruncateOutput:
        p.append(ops.Output(), (y,), "dense_7")
    return p


def check(program: Program) -> None:
    """Raises what the proof finds."""
    if found := findings(proof(program), f"up to {program.input_bound:g}"):
        raise refusal(found)


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
        "could be up to 2 times larger",
        "for inputs up to 1",
        "it is not proved",
        "lower spec.model.inputBound",
    )


def pooled(bound: float, relu: bool = False) -> Program:
    """Two inputs, the larger of them."""
    p = Program()
    x = p.append(ops.Input((1, 2, 1), round(-bound * 2**16), round(bound * 2**16)))
    if relu:
        x = p.append(ops.Relu(), (x,))
    y = p.append(ops.MaxPool(window=(1, 2), stride=(1, 1)), (x,), "pool_3")
    p.append(ops.Output(), (y,))
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
    x = p.append(ops.Input((2, 2, 1), -(2**16), 2**16))
    w = p.append_weight(np.array([1.0, 3.0]).reshape(1, 1, 1, 2), 16)
    z = p.append(ops.Conv2D(), (x, w))
    b = p.append_weight(np.array([10.0, -5.0]), 32)
    z = p.append(ops.Add(), (z, b))
    y = p.append(ops.Truncate(16), (z,))
    p.append(ops.MaxPool(window=(2, 2), stride=(1, 1)), (y,))
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
    check(dense(largest, bound=1.0, end=ops.TruncateOutput))
    refused(
        lambda: check(dense(largest, bound=2.0, end=ops.TruncateOutput)),
        "RangeOverflow",
        "'dense_7'",
        "a product",
    )


def test_a_truncation_may_give_one_more() -> None:
    program = dense(1.0, end=ops.Truncate)
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
    x = p.append(ops.Input((6, 6, 2), -(2**16), 2**16))
    x = p.append(ops.SumPool(window=(2, 2)), (x,))
    w = p.append_weight(random.normal(0, 1, (2, 2, 2, 3)), 16)
    z = p.append(ops.Conv2D(), (x, w))
    b = p.append_weight(random.normal(0, 1, 3), 34)
    z = p.append(ops.Add(), (z, b))
    y = p.append(ops.TruncateRelu(18), (z,))
    y = p.append(ops.MaxPool(window=(2, 2), stride=(1, 2)), (y,))
    y = p.append(ops.Reshape((18,)), (y,))
    w = p.append_weight(random.normal(0, 1, (18, 2)), 16)
    z = p.append(ops.MatMul(), (y, w))
    p.append(ops.TruncateOutput(16), (z,))
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


def deep(gain: float, layers: int = 12) -> bytes:
    """Dense layers that keep the size of values, while the sum of absolute weights grows by
    `gain` each layer.
    """
    random = np.random.default_rng(6)
    parts = [networks.dense(64, activation="relu") for _ in range(layers)]

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        return random.normal(0, gain * np.sqrt(2 / shape[0]), shape) * (len(shape) > 1)

    return networks.keras_file((64,), [*parts, networks.dense(2)], draw)


def test_what_is_not_proved_is_calibrated_on_drawn_rows_or_refused(
    refused: Callable[..., None],
) -> None:
    model = read_here(deep(1.0))
    found = compile_model(model, Wanted()).ranges
    assert str(found) == "Calibrated (drawn)"
    assert found.margin >= MARGIN
    assert found.rows > len(rows.drawn((64,), -1, 1).all), "an ascent is among them"
    assert found.layer == min(found.by_layer.values(), key=lambda limit: limit.margin).layer
    refused(
        lambda: compile_model(model, Wanted(ranges="Proved")),
        "RangeOverflow",
        "it is not proved",
        "set spec.model.ranges to Calibrated",
    )


def test_rows_of_the_owner_decide() -> None:
    own = np.random.default_rng(0).uniform(-1, 1, (5, 64))
    found = compile_model(read_here(deep(1.0)), Wanted(calibration=own)).ranges
    assert (str(found), found.rows) == ("Calibrated (rows)", 5)


def test_a_margin_of_sixteen_is_wanted_on_rows() -> None:
    """One weight: what the ReLU reads is the weight, when the input is 1."""
    for times, short in ((16 * (1 - 1e-4), True), (16 * (1 + 1e-4), False)):
        program = dense(2.0**15 / times)
        found = calibration("rows", met(program, np.ones((1, 1))))
        assert found.margin == pytest.approx(times)
        assert bool(found.short) == short


@pytest.mark.parametrize(
    ("source", "weight", "says"),
    [
        ("rows", 2.0**13, ("comes within 4 times", "on your 1 rows", "scale the inputs down")),
        ("drawn", 2.0**13, ("comes within 4 times", "on 1 rows drawn", "spec.model.calibration")),
        ("drawn", 2.0**17, ("is up to 8 times larger", "on 1 rows drawn")),
    ],
)
def test_what_comes_too_close_names_the_layer_and_the_margin(
    source: str, weight: float, says: tuple[str, ...]
) -> None:
    (found,) = findings(calibration(source, met(dense(weight), np.ones((1, 1)))), "from -1 to 1")
    assert found.layer == "dense_7"
    for text in ("'dense_7': the input of a ReLU", *says):
        assert text in found.message


def test_values_beyond_the_ring_are_met_as_they_are() -> None:
    """Fixed point would wrap to something small."""
    program = dense(2.0**30, bound=2.0**14)
    product, relu, _ = met(program, np.full((1, 1), 2.0**14)).limits
    assert product.largest == 2.0**76
    assert relu.largest == 2.0**60


def test_an_ascent_finds_what_noise_does_not() -> None:
    """The value is large for one corner of 2^40 alone."""
    random = np.random.default_rng(8)
    signs = random.choice([-1.0, 1.0], 40)
    p = Program()
    x = p.append(ops.Input((40,), -(2**16), 2**16))
    w = p.append_weight(signs.reshape(40, 1), 16, "dense_7")
    z = p.append(ops.MatMul(), (x, w), "dense_7")
    b = p.append_weight(np.full(1, 5.0), 32, "dense_7")
    z = p.append(ops.Add(), (z, b), "dense_7")
    y = p.append(ops.TruncateRelu(16), (z,), "dense_7")
    p.append(ops.Output(), (y,), "dense_7")
    drawn = rows.drawn((40,), -1.0, 1.0).all
    before = met(p, drawn)
    after = met(p, ascend(p, drawn, before))
    assert before.by_row.max() < 2.0**32 * 35
    assert after.by_row.max() == 2.0**32 * 45


@pytest.mark.parametrize("name", networks.NAMES)
def test_an_ascent_stays_within_the_bound_and_does_not_fall_behind(name: str) -> None:
    network = networks.make(name)
    program = fix(optimize(record(read_here(network.file))), 0.0, 1.0)
    drawn = rows.drawn(network.inputs.shape[1:], 0.0, 1.0).all
    before = met(program, drawn)
    found = ascend(program, drawn, before)
    assert found.min() >= 0
    assert found.max() <= 1
    margins = [calibration("drawn", part).margin for part in (before, met(program, found))]
    assert margins[1] <= margins[0] * (1 + 1e-12)


@pytest.mark.parametrize("name", ["residual", "separable", "decoder"])
def test_the_slope_is_how_the_target_changes(name: str) -> None:
    network = networks.make(name)
    program = fix(optimize(record(read_here(network.file))), 0.0, 1.0)
    x = network.inputs[:1]
    for limit in met(program, x).limits:
        target = np.array([limit.at])
        value, up = slope(program, x, target)
        moved = 1e-7 * np.random.default_rng(1).normal(size=x.shape)
        near, _ = slope(program, x + moved, target)
        change = 2.0**16 * float((up * moved).sum())
        assert near - value == pytest.approx(change, rel=1e-3, abs=1e-3), limit
