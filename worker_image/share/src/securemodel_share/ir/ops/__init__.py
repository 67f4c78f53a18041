"""Operations, a class each, by family: the shape of its result, its value, the bounds of its value,
and its fixed-point code (base.py says what a class declares).

Most stand in a recorded graph, over real numbers, and in the program that players run
(docs/program.md). `avg_pool`, `divide` and `multiply_constant` stand in graphs alone; `scale` and
those that truncate are only code. Shapes are those of one row; values have the batch in front.
Images are (H, W, C), kernels (kh, kw, C / groups, O).

To add an operation: a class in the file of its family, its line here, and its instruction on Rust's
side.
"""

from .base import (
    COMPARISON_WINDOW,
    CONSTANT_BITS,
    FRACTION_BITS,
    LARGEST_SHIFT,
    TRUNCATION_RANGE,
    Code,
    Interval,
    Op,
    Pair,
    Shape,
    Within,
)
from .constants import AddConstant, Divide, MultiplyConstant, Scale, reciprocal
from .ends import Input, Output, TruncateOutput, Weight
from .pooling import AveragePool, MaxPool, SumPool
from .products import Add, Conv2D, MatMul, Multiply, Product
from .relus import Relu, TruncateRelu
from .shaping import Concat, Gather, Reshape, Transpose
from .sums import Subtract, Sum
from .truncation import Truncate, Truncation

__all__ = [
    "COMPARISON_WINDOW",
    "CONSTANT_BITS",
    "FRACTION_BITS",
    "LARGEST_SHIFT",
    "TRUNCATION_RANGE",
    "Add",
    "AddConstant",
    "AveragePool",
    "Code",
    "Concat",
    "Conv2D",
    "Divide",
    "Gather",
    "Input",
    "Interval",
    "MatMul",
    "MaxPool",
    "Multiply",
    "MultiplyConstant",
    "Op",
    "Output",
    "Pair",
    "Product",
    "Relu",
    "Reshape",
    "Scale",
    "Shape",
    "Subtract",
    "Sum",
    "SumPool",
    "Transpose",
    "Truncate",
    "TruncateOutput",
    "TruncateRelu",
    "Truncation",
    "Weight",
    "Within",
    "reciprocal",
]
