"""A TF Encrypted protocol that records instead of computing: every `tfe.<op>` under it appends a
node to a graph.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from securemodel_share.ir import ops
from securemodel_share.ir.graph import Graph

from .compat import tf, tfe

from tf_encrypted.protocol.protocol import Protocol, TFEPrivateTensor  # isort: skip - compat comes first

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Perm = tuple[int, ...]
# TF Encrypted's images are (C, H, W); ours are (H, W, C): logical axis i is physical axis CHW[i]
CHW: Perm = (2, 0, 1)


class Secret(TFEPrivateTensor):  # type: ignore[misc]
    """A secret tensor: the node that makes it, and how its axes are permuted. A transposition is a
    view and costs nothing until something needs the order.
    """

    # an array of numbers leaves operations with it to this class
    __array_ufunc__ = None

    def __init__(self, protocol: Recorder, at: int, perm: Perm) -> None:
        self.protocol = protocol
        self.at = at
        self.perm = perm

    @property
    def node_shape(self) -> tuple[int, ...]:
        return self.protocol.graph.nodes[self.at].shape

    @property
    def shape(self) -> tf.TensorShape:
        """As TF Encrypted sees it: a batch of one row, axes in their logical order."""
        return tf.TensorShape([1, *(self.node_shape[p] for p in self.perm)])

    @property
    def backing_dtype(self) -> Any:
        return tf.int64

    @property
    def share_type(self) -> str:
        return "arithmetic"

    @property
    def is_scaled(self) -> bool:
        return True

    @property
    def unwrapped(self) -> tuple[Any, ...]:
        return ()

    def __add__(self, other: Operand) -> Secret:
        return self.protocol.add(self, other)

    def __radd__(self, other: Operand) -> Secret:
        return self.protocol.add(self, other)

    def __sub__(self, other: Operand) -> Secret:
        return self.protocol.sub(self, other)

    def __rsub__(self, other: Operand) -> Secret:
        return self.protocol.add(self.protocol.negative(self), other)

    def __mul__(self, other: Factor) -> Secret:
        return self.protocol.mul(self, other)

    def __rmul__(self, other: Factor) -> Secret:
        return self.protocol.mul(self, other)

    def __neg__(self) -> Secret:
        return self.protocol.negative(self)


class Weight:
    """A plain weight that becomes a secret-shared one."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    @property
    def shape(self) -> tf.TensorShape:
        return tf.TensorShape(self.value.shape)


# a number of Python's is public; whatever is numpy's may come from a weight, and is one
Factor = Weight | np.ndarray | float
SECRETS = (Weight, np.ndarray, np.generic)
Operand = Secret | Factor


class Recorder(Protocol):  # type: ignore[misc]
    """Collects what `tfe.*` calls do; `graph` is the result. `layer` names the layer that is being
    lowered.
    """

    def __init__(self) -> None:
        self.graph = Graph()
        self.layer = ""

    @contextmanager
    def recording(self) -> Iterator[Recorder]:
        """Makes this the protocol of `tfe.*` for the time being."""
        before = tfe.get_protocol()
        tfe.set_protocol(self)
        try:
            yield self
        finally:
            tfe.set_protocol(before)

    def _emit(self, op: ops.Op, inputs: Sequence[int] = (), view: Perm | None = None) -> Secret:
        at = self.graph.append(op, tuple(inputs), self.layer)
        axes = range(len(self.graph.nodes[at].shape))
        return Secret(self, at, tuple(axes) if view is None else view)

    def _weight(self, value: np.ndarray) -> int:
        return self.graph.append_weight(value, self.layer)

    def _broadcast(self, x: Secret, weight: Weight | np.ndarray) -> int:
        """A weight that is broadcast to the logical axes of x, which may be without the batch; in
        the order of x's physical ones.
        """
        value = np.asarray(weight.value if isinstance(weight, Weight) else weight, np.float64)
        rank = len(x.perm)
        if value.ndim > rank and value.shape[0] == 1:
            value = value[0]
        if value.ndim > rank:
            raise ValueError(f"a weight of shape {value.shape} does not belong to {x.shape}")
        value = value.reshape((1,) * (rank - value.ndim) + value.shape)
        ordered = value.transpose([x.perm.index(axis) for axis in range(rank)])
        first = next((i for i, size in enumerate(ordered.shape) if size != 1), rank - 1)
        return self._weight(ordered.reshape(ordered.shape[first:]))

    def _ordered(self, x: Secret, perm: Perm) -> Secret:
        """x stored so that its logical axis i is physical axis perm[i]."""
        if x.perm == perm:
            return x
        moves = tuple(x.perm[perm.index(axis)] for axis in range(len(perm)))
        return self._emit(ops.Transpose(moves), [x.at], perm)

    def _plain(self, x: Secret) -> Secret:
        """x stored in the order of its logical axes."""
        return self._ordered(x, tuple(range(len(x.perm))))

    def define_private_input(self, shape: Sequence[int]) -> Secret:
        """The client's input; `shape` is that of one row."""
        return self._emit(ops.Input(tuple(shape)))

    def define_private_variable(self, value: Any, *_args: Any, **_kwargs: Any) -> Weight:
        return Weight(np.asarray(value, dtype=np.float64))

    def output(self, x: Secret) -> None:
        self._emit(ops.Output(), [self._plain(x).at])

    def transpose(self, x: Secret, perm: Sequence[int]) -> Secret:
        if perm[0] != 0:
            raise ValueError("the batch axis stays first: rows of a batch never mix")
        return Secret(self, x.at, tuple(x.perm[p - 1] for p in perm[1:]))

    def reshape(self, x: Secret, shape: Sequence[int]) -> Secret:
        x = self._plain(x)
        row = [int(d) for d in shape[1:]]
        if -1 in row:
            row[row.index(-1)] = math.prod(x.node_shape) // -math.prod(row)
        return self._emit(ops.Reshape(tuple(row)), [x.at])

    def conv2d(
        self,
        x: Secret,
        w: Weight,
        strides: Any,
        padding: str = "VALID",
        dilations: Sequence[int] = (1, 1),
        groups: int = 1,
    ) -> Secret:
        """x (B, C, H, W), w (kh, kw, C / groups, O)."""
        _check_valid(padding)
        stride = (strides, strides) if isinstance(strides, int) else _pair(strides)
        conv = ops.Conv2D(stride=stride, dilation=_pair(dilations), groups=int(groups))
        return self._emit(conv, [self._ordered(x, CHW).at, self._weight(w.value)], CHW)

    def avgpool2d(
        self, x: Secret, pool_size: Sequence[int], strides: Sequence[int], padding: str = "VALID"
    ) -> Secret:
        _check_valid(padding)
        pool = ops.AveragePool(window=_pair(pool_size), stride=_pair(strides))
        return self._emit(pool, [self._ordered(x, CHW).at], CHW)

    def maxpool2d(
        self, x: Secret, pool_size: Sequence[int], strides: Sequence[int], padding: str = "VALID"
    ) -> Secret:
        _check_valid(padding)
        pool = ops.MaxPool(window=_pair(pool_size), stride=_pair(strides))
        return self._emit(pool, [self._ordered(x, CHW).at], CHW)

    def matmul(self, x: Secret, w: Weight) -> Secret:
        """x (B, ..., K), w (K, N)."""
        last = len(x.perm) - 1
        x = x if x.perm[last] == last else self._plain(x)
        return self._emit(ops.MatMul(), [x.at, self._weight(w.value)], x.perm)

    def add(self, x: Secret, other: Operand) -> Secret:
        """Adds another value of the same shape, a weight or a number; weights are broadcast over
        the axes of x.
        """
        if isinstance(other, Secret):
            return self._emit(ops.Sum(), [x.at, self._ordered(other, x.perm).at], x.perm)
        if isinstance(other, SECRETS):
            return self._emit(ops.Add(), [x.at, self._broadcast(x, other)], x.perm)
        return self._emit(ops.AddConstant(float(other)), [x.at], x.perm)

    def sub(self, x: Secret, other: Operand) -> Secret:
        """The same, subtracted."""
        if isinstance(other, Secret):
            return self._emit(ops.Subtract(), [x.at, self._ordered(other, x.perm).at], x.perm)
        return self.add(x, Weight(-other.value) if isinstance(other, Weight) else -other)

    def negative(self, x: Secret) -> Secret:
        """Zeros less x, which is local, where a factor takes a truncation."""
        return self.sub(self._emit(ops.Gather.nothing(x.node_shape), [x.at], x.perm), x)

    def mul(self, x: Secret, other: Factor) -> Secret:
        """Multiplies by a weight, which is broadcast over the axes of x, or by a number."""
        if isinstance(other, SECRETS):
            return self._emit(ops.Multiply(), [x.at, self._broadcast(x, other)], x.perm)
        if abs(other) == 1:
            return x if other > 0 else self.negative(x)
        return self._emit(ops.MultiplyConstant(float(other)), [x.at], x.perm)

    def pad(self, x: Secret, paddings: Sequence[Sequence[int]]) -> Secret:
        """Zeros around: [before, after] for each axis, the batch among them."""
        if any(paddings[0]):
            raise ValueError("the batch axis is not padded")
        found = {}
        for axis, (before, after) in zip(x.perm, paddings[1:], strict=True):
            inside = tuple(range(x.node_shape[axis]))
            nowhere = (ops.Gather.NOWHERE,)
            found[axis] = nowhere * int(before) + inside + nowhere * int(after)
        return self._gathered(x, found)

    def gather(self, x: Secret, indices: Sequence[int], axis: int) -> Secret:
        """Along an axis, the elements of these indices; -1 gives 0."""
        if axis % (len(x.perm) + 1) == 0:
            raise ValueError("the batch axis stays as it is: rows of a batch never mix")
        physical = x.perm[axis - 1 if axis > 0 else axis]
        return self._gathered(x, {physical: tuple(int(i) for i in indices)})

    def _gathered(self, x: Secret, index: dict[int, tuple[int, ...]]) -> Secret:
        axes = sorted(a for a, at in index.items() if at != tuple(range(x.node_shape[a])))
        if not axes:
            return x
        gather = ops.Gather(tuple(axes), tuple(index[a] for a in axes))
        return self._emit(gather, [x.at], x.perm)

    def concat(self, xs: Sequence[Secret], axis: int) -> Secret:
        """Values one after the other along an axis."""
        if axis % (len(xs[0].perm) + 1) == 0:
            raise ValueError("the batch axis stays as it is: rows of a batch never mix")
        perm = xs[0].perm
        physical = perm[axis - 1 if axis > 0 else axis]
        return self._emit(ops.Concat(physical), [self._ordered(x, perm).at for x in xs], perm)

    def relu(self, x: Secret, threshold: float = 0.0) -> Secret:
        """x where it is at least the threshold, else 0."""
        return self._emit(ops.Relu(float(threshold)), [x.at], x.perm)


def _check_valid(padding: str) -> None:
    if padding.upper() != "VALID":
        raise ValueError("only valid padding is recorded")


def _pair(values: Sequence[int]) -> tuple[int, int]:
    height, width = (int(v) for v in values)
    return height, width
