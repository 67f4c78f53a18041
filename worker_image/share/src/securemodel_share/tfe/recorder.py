"""A TF Encrypted protocol that records instead of computing: every `tfe.<op>` under it appends a
node to a graph.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from securemodel_share.ir.graph import Graph, Node

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

    def __add__(self, other: Weight) -> Secret:
        return self.protocol.add(self, other)


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

    def _emit(
        self,
        op: str,
        shape: Sequence[int],
        inputs: Sequence[int] = (),
        view: Perm | None = None,
        **attributes: Any,
    ) -> Secret:
        at = self.graph.append(
            Node(op, tuple(int(d) for d in shape), tuple(inputs), attributes, self.layer)
        )
        return Secret(self, at, tuple(range(len(shape))) if view is None else view)

    def _ordered(self, x: Secret, perm: Perm) -> Secret:
        """x stored so that its logical axis i is physical axis perm[i]."""
        if x.perm == perm:
            return x
        moves = tuple(x.perm[perm.index(axis)] for axis in range(len(perm)))
        shape = tuple(x.node_shape[m] for m in moves)
        return Secret(
            self,
            self.graph.append(Node("transpose", shape, (x.at,), {"perm": list(moves)}, self.layer)),
            perm,
        )

    def define_private_input(self, shape: Sequence[int]) -> Secret:
        """The client's input; `shape` is that of one row."""
        return self._emit("input", shape)

    def define_private_variable(self, value: Any, *_args: Any, **_kwargs: Any) -> Weight:
        return Weight(np.asarray(value, dtype=np.float64))

    def output(self, x: Secret) -> None:
        x = self._ordered(x, tuple(range(len(x.perm))))
        self._emit("output", x.node_shape, [x.at])

    def transpose(self, x: Secret, perm: Sequence[int]) -> Secret:
        if perm[0] != 0:
            raise ValueError("the batch axis stays first: rows of a batch never mix")
        return Secret(self, x.at, tuple(x.perm[p - 1] for p in perm[1:]))

    def reshape(self, x: Secret, shape: Sequence[int]) -> Secret:
        x = self._ordered(x, tuple(range(len(x.perm))))
        row = [int(d) for d in shape[1:]]
        if -1 in row:
            row[row.index(-1)] = math.prod(x.node_shape) // -math.prod(row)
        return self._emit("reshape", row, [x.at])

    def conv2d(self, x: Secret, w: Weight, strides: Any, padding: str) -> Secret:
        if padding.upper() != "VALID":
            raise ValueError("only valid padding is recorded")
        x = self._ordered(x, CHW)
        (height, width, _), (kh, kw, _, filters) = x.node_shape, w.value.shape
        stride = [strides, strides] if isinstance(strides, int) else [int(s) for s in strides]
        shape = ((height - kh) // stride[0] + 1, (width - kw) // stride[1] + 1, filters)
        return self._emit(
            "conv2d",
            shape,
            [x.at, self.graph.append_weight(w.value, self.layer)],
            CHW,
            stride=stride,
            shift=0,
        )

    def avgpool2d(
        self, x: Secret, pool_size: Sequence[int], strides: Sequence[int], padding: str
    ) -> Secret:
        return self._pool("avg_pool", x, pool_size, strides, padding)

    def maxpool2d(
        self, x: Secret, pool_size: Sequence[int], strides: Sequence[int], padding: str
    ) -> Secret:
        return self._pool("max_pool", x, pool_size, strides, padding)

    def _pool(
        self, op: str, x: Secret, pool_size: Sequence[int], strides: Sequence[int], padding: str
    ) -> Secret:
        if padding.upper() != "VALID":
            raise ValueError("only valid padding is recorded")
        x = self._ordered(x, CHW)
        height, width, channels = x.node_shape
        window, stride = [int(p) for p in pool_size], [int(s) for s in strides]
        shape = (
            (height - window[0]) // stride[0] + 1,
            (width - window[1]) // stride[1] + 1,
            channels,
        )
        return self._emit(op, shape, [x.at], CHW, window=window, stride=stride)

    def matmul(self, x: Secret, w: Weight) -> Secret:
        return self._emit(
            "matmul",
            [w.value.shape[1]],
            [x.at, self.graph.append_weight(w.value, self.layer)],
            shift=0,
        )

    def add(self, x: Secret, bias: Weight) -> Secret:
        """Adds a bias a channel: (C, 1, 1) to an image, (N,) to a vector."""
        channels = bias.value.reshape(-1)
        if x.node_shape[-1] != len(channels):
            raise ValueError(
                f"a bias of shape {bias.value.shape} does not belong to a tensor of shape "
                f"{x.node_shape}"
            )
        return self._emit(
            "add", x.node_shape, [x.at, self.graph.append_weight(channels, self.layer)], x.perm
        )

    def relu(self, x: Secret) -> Secret:
        return self._emit("relu", x.node_shape, [x.at], x.perm)
