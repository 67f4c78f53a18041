"""Layers that make one value of several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .base import LayerType
from .images import select
from .settings import whole


class Merging(LayerType, of_keras=False):
    """Several values of one shape, value by value; an axis of 1 is repeated as others need."""

    operands: ClassVar = None

    def lower(self, tfe: Any, *xs: Any) -> Any:
        return self.merge(tfe, aligned(tfe, xs))

    def merge(self, tfe: Any, xs: list[Any]) -> Any:
        """Of values of one shape."""
        raise NotImplementedError


def aligned(tfe: Any, xs: tuple[Any, ...]) -> list[Any]:
    """The same values in one shape."""
    shapes = [tuple(int(d) for d in x.shape) for x in xs]
    if len({len(shape) for shape in shapes}) > 1:
        raise ValueError("its operands do not have as many axes")
    wanted = [max(sizes) for sizes in zip(*shapes, strict=True)]
    return [_repeated(tfe, x, wanted) for x in xs]


def _repeated(tfe: Any, x: Any, wanted: list[int]) -> Any:
    for axis, size in enumerate(wanted):
        if int(x.shape[axis]) not in (1, size):
            raise ValueError(f"its operands differ in axis {axis}")
        if int(x.shape[axis]) < size:
            x = select(tfe, x, axis, [0] * size)
    return x


def in_pairs(xs: list[Any], merge: Callable[[Any, Any], Any]) -> Any:
    """Pair by pair, pairs of pairs, and so on: few steps one after the other."""
    while len(xs) > 1:
        pairs = [merge(*xs[at : at + 2]) for at in range(0, len(xs) - 1, 2)]
        xs = [*pairs, *xs[2 * len(pairs) :]]
    return xs[0]


def total(xs: list[Any]) -> Any:
    """The sum of values of one shape."""
    return in_pairs(xs, lambda x, y: x + y)


class Average(Merging):
    """The mean of its operands."""

    def merge(self, _tfe: Any, xs: list[Any]) -> Any:
        return total(xs) * (1 / len(xs)) if len(xs) > 1 else xs[0]


class Maximum(Merging):
    """The largest of its operands: y + relu(x - y) of each two."""

    def merge(self, tfe: Any, xs: list[Any]) -> Any:
        return in_pairs(xs, lambda x, y: y + tfe.relu(x - y))


class Minimum(Merging):
    """The smallest of its operands: x - relu(x - y) of each two."""

    def merge(self, tfe: Any, xs: list[Any]) -> Any:
        return in_pairs(xs, lambda x, y: x - tfe.relu(x - y))


class Concatenate(LayerType):
    """Its operands side by side."""

    settings: ClassVar = {"axis": whole(-1)}
    operands: ClassVar = None

    def lower(self, tfe: Any, *xs: Any) -> Any:
        rank = len(xs[0].shape)
        axis = self["axis"]
        if not -rank <= axis < rank or axis % rank == 0:
            raise ValueError(f"it joins them along axis {axis}")
        sides = {tuple(int(d) for i, d in enumerate(x.shape) if i != axis % rank) for x in xs}
        if len(sides) > 1:
            raise ValueError(f"they differ in more than axis {axis}")
        return tfe.concat(list(xs), axis % rank) if len(xs) > 1 else xs[0]
