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
    (ops.MatMul(), [VECTOR, MATRIX]),
    (ops.Scale(5), [IMAGE]),
    (ops.Add(), [IMAGE, (2,)]),
    (ops.Sum(), [IMAGE, IMAGE]),
    (ops.SumPool(window=(2, 3), stride=(1, 2), dilation=(3, 2)), [IMAGE]),
    (ops.MaxPool(window=(3, 2), stride=(2, 3)), [IMAGE]),
    (ops.Reshape((12, 7)), [IMAGE]),
    (ops.Transpose((2, 0, 1)), [IMAGE]),
    (ops.Relu(), [IMAGE]),
    (ops.Output(), [IMAGE]),
    (ops.Truncate(0), [IMAGE]),
    (ops.TruncateRelu(0), [IMAGE]),
    (ops.TruncateOutput(0), [IMAGE]),
]
# they come from outside, or are rewritten before there is code
OTHERS = {ops.Input, ops.Weight, ops.AveragePool, ops.Divide, ops.Multiply}


def classes(of: type[ops.Op] = ops.Op) -> set[type[ops.Op]]:
    """All operations that have a name, which families have not."""
    found = {cls for sub in of.__subclasses__() for cls in classes(sub)}
    return found | ({of} if "name" in vars(of) else set())


def anything(*_: Any) -> None:
    """No value is too large."""


def test_every_operation_has_a_sample() -> None:
    assert {type(op) for op, _ in SAMPLES} | OTHERS == classes()


@pytest.mark.parametrize(("op", "shapes"), SAMPLES, ids=[op.name for op, _ in SAMPLES])
def test_an_operation_has_the_shape_and_the_bounds_that_it_says(
    op: ops.Op, shapes: list[tuple[int, ...]]
) -> None:
    row, *weights = shapes
    w = [RANDOM.normal(size=shape) for shape in weights]
    low = RANDOM.normal(size=(1, *row))
    high = low + RANDOM.uniform(0, 1, low.shape)
    inside = low + (high - low) * RANDOM.choice([0.0, 0.3, 1.0], (50, *row))

    value = op.evaluate(inside, *w)
    assert value.shape == (50, *op.shape(*shapes))
    least, most = op.bounds(anything, (low, high), *((v, v) for v in w))
    assert least.shape == most.shape == (1, *op.shape(*shapes))
    assert (least <= value + 1e-9).all()
    assert (value <= most + 1e-9).all()
