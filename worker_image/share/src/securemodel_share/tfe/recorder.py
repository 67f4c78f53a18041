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

    def __add__(self, other: Secret | Weight) -> Secret:
        return self.protocol.add(self, other)

    def __mul__(self, factor: float) -> Secret:
        return self.protocol.mul(self, factor)


class Weight:
    """A plain weight that becomes a secret-shared one."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    @property
    def shape(self) -> tf.TensorShape:
        return tf.TensorShape(self.value.shape)


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

    def conv2d(self, x: Secret, w: Weight, strides: Any, padding: str) -> Secret:
        _check_valid(padding)
        x = self._ordered(x, CHW)
        stride = (strides, strides) if isinstance(strides, int) else _pair(strides)
        return self._emit(ops.Conv2D(stride=stride), [x.at, self._weight(w.value)], CHW)

    def avgpool2d(
        self, x: Secret, pool_size: Sequence[int], strides: Sequence[int], padding: str
    ) -> Secret:
        _check_valid(padding)
        pool = ops.AveragePool(window=_pair(pool_size), stride=_pair(strides))
        return self._emit(pool, [self._ordered(x, CHW).at], CHW)

    def maxpool2d(
        self, x: Secret, pool_size: Sequence[int], strides: Sequence[int], padding: str
    ) -> Secret:
        _check_valid(padding)
        pool = ops.MaxPool(window=_pair(pool_size), stride=_pair(strides))
        return self._emit(pool, [self._ordered(x, CHW).at], CHW)

    def matmul(self, x: Secret, w: Weight) -> Secret:
        return self._emit(ops.MatMul(), [x.at, self._weight(w.value)])

    def add(self, x: Secret, other: Secret | Weight) -> Secret:
        """Adds another value of the same shape, or a bias a channel: (C, 1, 1) to an image, (N,) to
        a vector.
        """
        if isinstance(other, Secret):
            ordered = self._ordered(other, x.perm)
            return self._emit(ops.Sum(), [x.at, ordered.at], x.perm)
        bias = other
        channels = bias.value.reshape(-1)
        if x.node_shape[-1] != len(channels):
            raise ValueError(
                f"a bias of shape {bias.value.shape} does not belong to a tensor of shape "
                f"{x.node_shape}"
            )
        return self._emit(ops.Add(), [x.at, self._weight(channels)], x.perm)

    def mul(self, x: Secret, factor: float) -> Secret:
        """Multiplies by a public constant."""
        return self._emit(ops.Multiply(float(factor)), [x.at], x.perm)

    def relu(self, x: Secret) -> Secret:
        return self._emit(ops.Relu(), [x.at], x.perm)


def _check_valid(padding: str) -> None:
    if padding.upper() != "VALID":
        raise ValueError("only valid padding is recorded")


def _pair(values: Sequence[int]) -> tuple[int, int]:
    height, width = (int(v) for v in values)
    return height, width
