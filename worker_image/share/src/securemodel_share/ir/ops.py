"""Operations, a class each: the shape of its result, its value, the bounds of its value, and its
fixed-point code.

Most stand in a recorded graph, over real numbers, and in the program that players run
(docs/program.md). `avg_pool`, `divide` and `multiply` stand in graphs alone; `scale` and those that
truncate are only code. Shapes are those of one row; values have the batch in front. Images are
(H, W, C), kernels (kh, kw, C, O).

To add an operation: a class here, and its instruction on Rust's side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from securemodel_share.errors import Reason, ShareError

FRACTION_BITS = 16
# precision of a constant that is no power of two
CONSTANT_BITS = 24
# what the protocol computes right (docs/protocol.md, Ranges)
TRUNCATION_RANGE = 2.0**62
COMPARISON_WINDOW = 2.0**31

Shape = tuple[int, ...]
Pair = tuple[int, int]
Interval = tuple[np.ndarray, np.ndarray]
# (value, limit, what it is): raises if the value could leave the limit
Within = Callable[[Interval, float, str], None]


class Code(Protocol):
    """Fixed-point code in the making. `at` is always a node of the graph; values are indices of
    instructions.
    """

    bound: int

    def operands(self, at: int) -> tuple[int, ...]:
        """The values that the node reads, weights left out."""

    def weight(self, at: int, scale: int) -> int:
        """The node's weight, in fixed point of that scale."""

    def append(self, at: int, op: Op, operands: tuple[int, ...] = ()) -> int:
        """One more instruction."""

    def define(self, at: int, value: int) -> None:
        """This is the value of the node."""

    def end_product(self, at: int, product: int, shift: int) -> None:
        """The node is a product, which has 2^(16 + shift) to the unit."""


@dataclass(frozen=True)
class Op:
    """One operation with its attributes."""

    name: ClassVar[str]
    # how a product is truncated that this reads
    truncated: ClassVar[type[Truncation] | None] = None

    def keys(self) -> dict[str, Any]:
        """The attributes, as docs/program.md has them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    def shape(self, *operands: Any, **_: Any) -> Shape:
        """The result's shape, from those of the operands."""
        raise NotImplementedError

    def evaluate(self, *operands: Any, **_: Any) -> np.ndarray:
        """The result, over real numbers or ring elements."""
        raise NotImplementedError

    def bounds(self, _within: Within, /, *operands: Interval) -> Interval:
        """The smallest and the largest result, from those of the operands. As it is here for what
        grows with each operand.
        """
        lows, highs = zip(*operands, strict=True)
        return self.evaluate(*lows), self.evaluate(*highs)

    def emit(self, code: Code, at: int) -> None:
        """Code for node `at`, which is of this operation. As it is here for what is an instruction
        itself.
        """
        code.define(at, code.append(at, self, code.operands(at)))


def windows(x: np.ndarray, window: Sequence[int], stride: Sequence[int]) -> np.ndarray:
    """x (B, H, W, C) as (B, H', W', C, *window): what each window sees, valid."""
    return sliding_window_view(x, tuple(window), axis=(1, 2))[:, :: stride[0], :: stride[1]]


def windowed(x: Shape, window: Sequence[int], stride: Sequence[int]) -> Pair:
    """The height and width of what windows on x give, valid."""
    height, width = ((x[i] - window[i]) // stride[i] + 1 for i in (0, 1))
    return height, width


@dataclass(frozen=True)
class Input(Op):
    """The client's row; in code with the largest absolute value in fixed point."""

    name: ClassVar = "input"
    row: Shape
    bound: int = 0

    def keys(self) -> dict[str, Any]:
        return {"bound": self.bound}

    def shape(self) -> Shape:
        return self.row

    def bounds(self, _within: Within, /, *_: Interval) -> Interval:
        bound = np.full((1, *self.row), float(self.bound))
        return -bound, bound

    def emit(self, code: Code, at: int) -> None:
        code.define(at, code.append(at, replace(self, bound=code.bound)))


@dataclass(frozen=True)
class Weight(Op):
    """A weight, which has no batch; in code with its scale."""

    name: ClassVar = "weight"
    of: Shape
    scale: int = 0

    def keys(self) -> dict[str, Any]:
        return {"scale": self.scale}

    def shape(self) -> Shape:
        return self.of


@dataclass(frozen=True)
class Product(Op):
    """A product with a weight. In a graph it is divided by 2^shift: constants that are powers of
    two join its truncation and cost nothing.
    """

    shift: int = 0

    def keys(self) -> dict[str, Any]:
        return {k: v for k, v in super().keys().items() if k != "shift"}

    def bounds(self, _within: Within, /, *operands: Interval) -> Interval:
        (low, high), (w, _) = operands
        up, down = np.maximum(w, 0), np.minimum(w, 0)
        lows = self.evaluate(low, up) + self.evaluate(high, down)
        highs = self.evaluate(high, up) + self.evaluate(low, down)
        return lows, highs

    def emit(self, code: Code, at: int) -> None:
        operands = code.operands(at)
        weight = code.weight(at, FRACTION_BITS)
        product = code.append(at, replace(self, shift=0), (*operands, weight))
        code.end_product(at, product, FRACTION_BITS + self.shift)


@dataclass(frozen=True)
class Conv2D(Product):
    """x (H, W, C), w (kh, kw, C, O): cross-correlation, valid."""

    name: ClassVar = "conv2d"
    stride: Pair = (1, 1)

    def shape(self, x: Shape, w: Shape) -> Shape:
        return (*windowed(x, w, self.stride), w[3])

    def evaluate(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        seen = windows(x, w.shape[:2], self.stride)
        return np.asarray(np.einsum("byxcij,ijco->byxo", seen, w, optimize=True))


@dataclass(frozen=True)
class MatMul(Product):
    """x (K), w (K, N)."""

    name: ClassVar = "matmul"

    def shape(self, _x: Shape, w: Shape) -> Shape:
        return (w[1],)

    def evaluate(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.asarray(x @ w)


@dataclass(frozen=True)
class Scale(Op):
    """A product with a public integer."""

    name: ClassVar = "scale"
    factor: int

    def shape(self, x: Shape) -> Shape:
        return x

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return x * self.factor


@dataclass(frozen=True)
class Add(Op):
    """z and a weight w, a bias along its last axis. A product's own; it is emitted with it."""

    name: ClassVar = "add"

    def shape(self, z: Shape, _w: Shape) -> Shape:
        return z

    def evaluate(self, z: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.asarray(z + w)

    def emit(self, *_: Any) -> None:
        raise _no_code(self)


@dataclass(frozen=True)
class Sum(Op):
    """Two values of one shape, added."""

    name: ClassVar = "sum"

    def shape(self, x: Shape, y: Shape) -> Shape:
        if x != y:
            raise ValueError(f"values of shapes {x} and {y} cannot be added")
        return x

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(x + y)


@dataclass(frozen=True)
class AveragePool(Op):
    """The mean of each window of (H, W, C), valid."""

    name: ClassVar = "avg_pool"
    window: Pair
    stride: Pair

    def shape(self, x: Shape) -> Shape:
        return (*windowed(x, self.window, self.stride), x[2])

    def emit(self, *_: Any) -> None:
        raise _no_code(self)


@dataclass(frozen=True)
class SumPool(Op):
    """The sum of each window of (H, W, C), valid."""

    name: ClassVar = "sum_pool"
    window: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)

    @property
    def span(self) -> Pair:
        """From the first to the last pixel of a window."""
        height, width = ((n - 1) * d + 1 for n, d in zip(self.window, self.dilation, strict=True))
        return height, width

    def shape(self, x: Shape) -> Shape:
        return (*windowed(x, self.span, self.stride), x[2])

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        seen = windows(x, self.span, self.stride)[..., :: self.dilation[0], :: self.dilation[1]]
        return np.asarray(seen.sum(axis=(-2, -1)))


@dataclass(frozen=True)
class MaxPool(Op):
    """The largest value of each window of (H, W, C), valid."""

    name: ClassVar = "max_pool"
    window: Pair
    stride: Pair

    def shape(self, x: Shape) -> Shape:
        return (*windowed(x, self.window, self.stride), x[2])

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(windows(x, self.window, self.stride).max(axis=(-2, -1)))

    def bounds(self, within: Within, /, *operands: Interval) -> Interval:
        """Any two values of a window may meet: the largest of some of them with another one."""
        low, high = (windows(bound, self.window, self.stride) for bound in operands[0])
        most, least = high.max(axis=(-2, -1)), low.min(axis=(-2, -1))
        what = "the difference of two values that a max pooling compares"
        within((least - most, most - least), COMPARISON_WINDOW, what)
        return low.max(axis=(-2, -1)), most


@dataclass(frozen=True)
class Divide(Op):
    """Division by a whole number."""

    name: ClassVar = "divide"
    divisor: int

    def shape(self, x: Shape) -> Shape:
        return x

    def emit(self, code: Code, at: int) -> None:
        factor, shift = reciprocal(self.divisor)
        product = code.append(at, Scale(factor), code.operands(at))
        code.end_product(at, product, shift)


@dataclass(frozen=True)
class Multiply(Op):
    """Multiplication by a public constant."""

    name: ClassVar = "multiply"
    factor: float

    def shape(self, x: Shape) -> Shape:
        return x

    def emit(self, code: Code, at: int) -> None:
        factor = round(self.factor * 2**CONSTANT_BITS)
        product = code.append(at, Scale(factor), code.operands(at))
        code.end_product(at, product, CONSTANT_BITS)


def reciprocal(divisor: int) -> tuple[int, int]:
    """1/divisor as an integer factor and a shift."""
    if divisor & (divisor - 1) == 0:
        return 1, divisor.bit_length() - 1
    return round(2**CONSTANT_BITS / divisor), CONSTANT_BITS


@dataclass(frozen=True)
class Reshape(Op):
    """Row-major."""

    name: ClassVar = "reshape"
    to: Shape

    def keys(self) -> dict[str, Any]:
        return {}

    def shape(self, _x: Shape) -> Shape:
        return self.to

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), *self.to)


@dataclass(frozen=True)
class Transpose(Op):
    """Axes of the row."""

    name: ClassVar = "transpose"
    perm: Shape

    def shape(self, x: Shape) -> Shape:
        return tuple(x[p] for p in self.perm)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return x.transpose(0, *(p + 1 for p in self.perm))


@dataclass(frozen=True)
class Truncation(Op):
    """floor(z / 2^shift) or one more, and what comes right after it. It is evaluated with z
    truncated already, which depends on the arithmetic.
    """

    shift: int

    def shape(self, z: Shape) -> Shape:
        return z

    def evaluate(self, truncated: np.ndarray) -> np.ndarray:
        return truncated

    def bounds(self, within: Within, /, *operands: Interval) -> Interval:
        (low, high), unit = operands[0], 2.0**self.shift
        within((low, high), TRUNCATION_RANGE, "a product")
        return np.floor(low / unit), np.floor(high / unit) + 1


@dataclass(frozen=True)
class Truncate(Truncation):
    """A truncation alone."""

    name: ClassVar = "truncate"


@dataclass(frozen=True)
class TruncateRelu(Truncation):
    """The ReLU of a truncation."""

    name: ClassVar = "truncate_relu"

    def evaluate(self, truncated: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(truncated, 0))

    def bounds(self, within: Within, /, *operands: Interval) -> Interval:
        return Relu().bounds(within, super().bounds(within, *operands))


@dataclass(frozen=True)
class TruncateOutput(Truncation):
    """A truncation that goes to the client; the last instruction."""

    name: ClassVar = "truncate_output"


@dataclass(frozen=True)
class Relu(Op):
    """The larger of x and 0."""

    name: ClassVar = "relu"
    truncated: ClassVar = TruncateRelu

    def shape(self, x: Shape) -> Shape:
        return x

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(x, 0))

    def bounds(self, within: Within, /, *operands: Interval) -> Interval:
        within(operands[0], COMPARISON_WINDOW, "the input of a ReLU")
        return super().bounds(within, *operands)


@dataclass(frozen=True)
class Output(Op):
    """What goes to the client; the last node."""

    name: ClassVar = "output"
    truncated: ClassVar = TruncateOutput

    def shape(self, x: Shape) -> Shape:
        return x

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return x


def _no_code(op: Op) -> ShareError:
    return ShareError(
        Reason.INTERNAL_ERROR, f"there is no code for {op.name!r}; please report this model"
    )
