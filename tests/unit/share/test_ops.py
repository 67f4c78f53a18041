"""Operations: what an operation says about itself agrees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from securemodel_share.gradient import pull
from securemodel_share.ir import ops

RANDOM = np.random.default_rng(7)
IMAGE, VECTOR, KERNEL, MATRIX = (7, 6, 2), (6,), (3, 2, 2, 4), (6, 3)

# each with the shapes of its operands; weights, which have no batch, come second
SAMPLES: list[tuple[ops.Op, list[tuple[int, ...]]]] = [
    (ops.Conv2D(stride=(2, 1)), [IMAGE, KERNEL]),
    (ops.Conv2D(dilation=(2, 3)), [IMAGE, KERNEL]),
    (ops.Conv2D(stride=(1, 2), groups=2), [IMAGE, (3, 2, 1, 6)]),
    (ops.Conv2D(groups=2), [(5, 4, 6), (2, 3, 3, 4)]),
    (ops.MatMul(), [VECTOR, MATRIX]),
    (ops.MatMul(), [(5, 4, 6), MATRIX]),
    (ops.Multiply(), [IMAGE, (2,)]),
    (ops.Multiply(), [IMAGE, (7, 1, 2)]),
    (ops.Scale(5), [IMAGE]),
    (ops.Scale(-5), [IMAGE]),
    (ops.Add(), [IMAGE, (2,)]),
    (ops.Add(), [IMAGE, (6, 1)]),
    (ops.Sum(), [IMAGE, IMAGE]),
    (ops.Subtract(), [IMAGE, IMAGE]),
    (ops.AddConstant(0.4), [IMAGE]),
    (ops.SumPool(window=(2, 3), stride=(1, 2), dilation=(3, 2)), [IMAGE]),
    (ops.MaxPool(window=(3, 2), stride=(2, 3)), [IMAGE]),
    (ops.Reshape((12, 7)), [IMAGE]),
    (ops.Transpose((2, 0, 1)), [IMAGE]),
    (ops.Gather((0, 2), ((-1, 3, 3, 0), (1, -1, 0))), [IMAGE]),
    (ops.Concat(1), [IMAGE, IMAGE]),
    (ops.Concat(2), [IMAGE, (7, 6, 1), (7, 6, 3)]),
    (ops.Relu(), [IMAGE]),
    (ops.Relu(0.7), [IMAGE]),
    (ops.Relu(-0.7), [IMAGE]),
    (ops.Output(), [IMAGE]),
    (ops.Truncate(0), [IMAGE]),
    (ops.TruncateRelu(0), [IMAGE]),
    (ops.TruncateOutput(0), [IMAGE]),
]
# of secret values; all others take one of them, then weights
OF_VALUES = (ops.Sum, ops.Subtract, ops.Concat)
# they come from outside, or are rewritten before there is code
OTHERS = {ops.Input, ops.Weight, ops.AveragePool, ops.Divide, ops.MultiplyConstant}


def classes(of: type[ops.Op] = ops.Op) -> set[type[ops.Op]]:
    """All operations that have a name, which families have not."""
    found = {cls for sub in of.__subclasses__() for cls in classes(sub)}
    return found | ({of} if "name" in vars(of) else set())


def anything(*_: Any) -> None:
    """No value is too large."""


def test_every_operation_has_a_sample() -> None:
    assert {type(op) for op, _ in SAMPLES} | OTHERS == classes()


def within(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounds of a row, and 50 rows inside."""
    low = RANDOM.normal(size=(1, *shape))
    high = low + RANDOM.uniform(0, 1, low.shape)
    return low, high, low + (high - low) * RANDOM.choice([0.0, 0.3, 1.0], (50, *shape))


@pytest.mark.parametrize(("op", "shapes"), SAMPLES, ids=[repr(op) for op, _ in SAMPLES])
def test_an_operation_has_the_shape_and_the_bounds_that_it_says(
    op: ops.Op, shapes: list[tuple[int, ...]]
) -> None:
    secret = len(shapes) if isinstance(op, OF_VALUES) else 1
    rows = [within(shape) for shape in shapes[:secret]]
    w = [RANDOM.normal(size=shape) for shape in shapes[secret:]]

    value = op.evaluate(*(inside for _, _, inside in rows), *w)
    assert value.shape == (50, *op.shape(*shapes))
    least, most = op.bounds(anything, *((low, high) for low, high, _ in rows), *((v, v) for v in w))
    assert least.shape == most.shape == (1, *op.shape(*shapes))
    assert (least <= value + 1e-9).all()
    assert (value <= most + 1e-9).all()


@pytest.mark.parametrize(("op", "shapes"), SAMPLES, ids=[repr(op) for op, _ in SAMPLES])
def test_the_gradient_of_an_operation_is_how_its_value_changes(
    op: ops.Op, shapes: list[tuple[int, ...]]
) -> None:
    secret = len(shapes) if isinstance(op, OF_VALUES) else 1
    values = [RANDOM.normal(size=(3, *shape)) for shape in shapes[:secret]]
    w = [RANDOM.normal(size=shape) for shape in shapes[secret:]]
    y = op.evaluate(*values, *w)
    g = RANDOM.normal(size=y.shape)
    gradients = pull(op, (*values, *w), y, g)
    assert len(gradients) == len(shapes)
    assert all(gradient is None for gradient in gradients[secret:])
    for place, value in enumerate(values):
        moved = 1e-7 * RANDOM.normal(size=value.shape)
        near = [*values]
        near[place] = value + moved
        change = (g * (op.evaluate(*near, *w) - y)).sum()
        assert change == pytest.approx((gradients[place] * moved).sum(), rel=1e-4, abs=1e-12)


def test_the_largest_of_a_window_has_all_of_the_gradient_be_it_there_twice() -> None:
    x, pool = np.ones((1, 2, 2, 1)), ops.MaxPool(window=(2, 2), stride=(1, 1))
    (gradient,) = pull(pool, (x,), pool.evaluate(x), np.full((1, 1, 1, 1), 3.0))
    assert gradient.ravel().tolist() == [3.0, 0, 0, 0]


PRODUCTS = [(op, shapes) for op, shapes in SAMPLES if isinstance(op, ops.Product)]


def plain(op: ops.Product, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """By numpy's own integers, which wrap."""
    return op.multiply(x.astype(object), w.astype(object)) % 2**64


@pytest.mark.parametrize(("op", "shapes"), PRODUCTS, ids=[repr(op) for op, _ in PRODUCTS])
@pytest.mark.parametrize(
    "bits", [(10, 10), (27, 26), (31, 24), (40, 47), (63, 63), (0, 63), (1, 0)]
)
def test_products_of_ring_elements_are_exact(
    op: ops.Product, shapes: list[tuple[int, ...]], bits: tuple[int, int]
) -> None:
    x, w = (
        RANDOM.integers(-(2**k), 2**k - 1, shape, endpoint=True)
        for k, shape in zip(bits, ((2, *shapes[0]), shapes[1]), strict=True)
    )
    x.flat[0], w.flat[0] = -(2 ** bits[0]), 2 ** bits[1] - 1
    assert (op.evaluate(x, w).view(np.uint64) == plain(op, x, w).astype(np.uint64)).all()


def test_a_relu_keeps_what_reaches_its_threshold() -> None:
    x = np.array([[-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]])
    assert ops.Relu().evaluate(x).tolist() == [[0, 0, 0, 0, 0.5, 1, 2]]
    assert ops.Relu(1.0).evaluate(x).tolist() == [[0, 0, 0, 0, 0, 1, 2]]
    assert ops.Relu(-1.0).evaluate(x).tolist() == [[0, -1, -0.5, 0, 0.5, 1, 2]]


@pytest.mark.parametrize(
    ("threshold", "low", "high", "expected"),
    [
        (0.0, -2.0, 1.0, (0.0, 1.0)),
        (0.0, -2.0, -1.0, (0.0, 0.0)),
        (-0.5, -2.0, 1.0, (-0.5, 1.0)),
        (-0.5, -2.0, -0.25, (-0.5, 0.0)),
        (-0.5, -0.25, 1.0, (-0.25, 1.0)),
        (0.5, -2.0, 1.0, (0.0, 1.0)),
        (0.5, -2.0, 0.25, (0.0, 0.0)),
        (0.5, 0.75, 1.0, (0.75, 1.0)),
    ],
)
def test_the_bounds_of_a_relu_are_met(
    threshold: float, low: float, high: float, expected: tuple[float, float]
) -> None:
    ends = ops.Relu(threshold).bounds(anything, (np.array([[low]]), np.array([[high]])))
    assert tuple(float(end[0, 0]) for end in ends) == expected


def test_a_gather_of_nowhere_is_nothing() -> None:
    x = np.arange(1.0, 7.0).reshape(1, 2, 3)
    gather = ops.Gather((0, 1), ((-1, 1), (2, -1, 0, 0)))
    assert gather.evaluate(x).tolist() == [[[0, 0, 0, 0], [6, 0, 4, 4]]]
    assert ops.Gather.nothing((2, 3)).evaluate(x).tolist() == [[[0] * 3] * 2]


MISFITS: list[tuple[ops.Op, list[tuple[int, ...]]]] = [
    (ops.Conv2D(), [IMAGE, (3, 2, 1, 4)]),
    (ops.Conv2D(groups=2), [IMAGE, (3, 2, 1, 3)]),
    (ops.Conv2D(dilation=(4, 1)), [IMAGE, KERNEL]),
    (ops.MatMul(), [VECTOR, (5, 3)]),
    (ops.Multiply(), [VECTOR, (2, 6)]),
    (ops.Multiply(), [(1, 6), (2, 6)]),
    (ops.Add(), [IMAGE, (6, 2, 2)]),
    (ops.Sum(), [VECTOR, (1,)]),
    (ops.Subtract(), [IMAGE, (7, 6, 1)]),
    (ops.Reshape((5, 5)), [IMAGE]),
    (ops.Gather((0,), ((7,),)), [IMAGE]),
    (ops.Gather((0,), ((-2,),)), [IMAGE]),
    (ops.Gather((1,), ((),)), [IMAGE]),
    (ops.Concat(0), [IMAGE, (7, 6, 1)]),
    (ops.MaxPool(window=(8, 1), stride=(1, 1)), [IMAGE]),
]


@pytest.mark.parametrize(("op", "shapes"), MISFITS, ids=[repr(op) for op, _ in MISFITS])
def test_operands_that_do_not_fit_are_refused(op: ops.Op, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"fit|shape|axis"):
        op.shape(*shapes)


@pytest.mark.parametrize("divisor", [3, 9, 127, 129, 112 * 112, 226 * 226, 1000 * 1000])
def test_a_division_by_any_window_is_precise(divisor: int) -> None:
    factor, shift = ops.reciprocal(divisor)
    assert abs(factor / 2**shift * divisor - 1) < max(2.0**-16, divisor * 2.0**-32)
