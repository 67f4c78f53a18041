"""Operations: what an operation says about itself agrees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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
