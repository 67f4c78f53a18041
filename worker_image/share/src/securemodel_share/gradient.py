"""Which way each input of a program moves a value: reverse-mode differentiation over its
instructions, for rows that make values large (ascent.py).
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from .ir import ops
from .ir.ops.windows import taps

# of an instruction: the gradient of each operand, None for what has none
Pulled = tuple[Any, ...]


@singledispatch
def pull(op: ops.Op, x: tuple[np.ndarray, ...], y: np.ndarray, g: np.ndarray) -> Pulled:
    """The gradient of the operands x, of which the instruction made y, from that of y, g. All have
    the batch in front, weights excepted.
    """
    raise NotImplementedError(op.name)


@pull.register
def _(_op: ops.Input | ops.Weight, *_: object) -> Pulled:
    return ()


@pull.register
def _(op: ops.Conv2D, x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    image, w = x
    found = np.zeros_like(image)
    grouped = g.reshape(*g.shape[:3], op.groups, -1)
    kernels = w.reshape(-1, w.shape[2], op.groups, w.shape[3] // op.groups)
    # views of `found`: what a pixel of the kernel sees
    seen = taps(found, w.shape, op.stride, op.dilation)
    for tap, kernel in zip(seen, kernels, strict=True):
        tap[...] += np.einsum("byxgo,igo->byxgi", grouped, kernel, optimize=True).reshape(tap.shape)
    return found, None


@pull.register
def _(_op: ops.MatMul, x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    return g @ x[1].T, None


@pull.register
def _(_op: ops.Multiply, x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    return g * x[1], None


@pull.register
def _(_op: ops.Add, _x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    return g, None


@pull.register
def _(op: ops.Scale, _x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    return (g * op.factor,)


@pull.register
def _(
    _op: ops.AddConstant | ops.Output, _x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray
) -> Pulled:
    return (g,)


@pull.register
def _(_op: ops.Sum, _x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    return g, g


@pull.register
def _(_op: ops.Subtract, _x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    return g, -g


@pull.register
def _(op: ops.SumPool, x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    found = np.zeros_like(x[0])
    for tap in taps(found, op.window, op.stride, op.dilation):
        tap[...] += g
    return (found,)


@pull.register
def _(op: ops.MaxPool, x: tuple[np.ndarray, ...], y: np.ndarray, g: np.ndarray) -> Pulled:
    """All of it to the first of a window's largest values."""
    found = np.zeros_like(x[0])
    is_open = np.ones(y.shape, bool)
    pairs = zip(taps(found, op.window, op.stride), taps(x[0], op.window, op.stride), strict=True)
    for tap, value in pairs:
        is_first = is_open & (value == y)
        tap[...] += g * is_first
        is_open &= ~is_first
    return (found,)


@pull.register
def _(_op: ops.Reshape, x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    return (g.reshape(x[0].shape),)


@pull.register
def _(op: ops.Transpose, _x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    return (g.transpose(0, *(1 + np.argsort(op.perm))),)


@pull.register
def _(op: ops.Gather, x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    for axis, index in reversed(list(zip(op.axis, op.index, strict=True))):
        to = np.zeros((x[0].shape[axis + 1], *np.delete(g.shape, axis + 1)), g.dtype)
        there = np.array(index) != op.NOWHERE
        np.add.at(to, np.array(index)[there], np.moveaxis(g, axis + 1, 0)[there])
        g = np.moveaxis(to, 0, axis + 1)
    return (g,)


@pull.register
def _(op: ops.Concat, x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    axis = op.axis + 1
    ends = np.cumsum([operand.shape[axis] for operand in x])[:-1]
    return tuple(np.split(g, ends, axis))


@pull.register
def _(op: ops.Relu, x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    return (g * (x[0] >= op.threshold),)


@pull.register
def _(op: ops.Truncation, _x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    return (g / 2.0**op.shift,)


@pull.register
def _(op: ops.TruncateRelu, x: tuple[np.ndarray, ...], _y: np.ndarray, g: np.ndarray) -> Pulled:
    return (g / 2.0**op.shift * (x[0] >= 0),)
