"""Windows that slide over the first two axes of an image, valid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from .base import Pair, Shape

ONE = (1, 1)


def span(window: Sequence[int], dilation: Sequence[int]) -> Pair:
    """From the first to the last pixel of a window whose pixels lie `dilation` apart."""
    height, width = ((n - 1) * d + 1 for n, d in zip(window[:2], dilation, strict=True))
    return height, width


def windowed(
    x: Shape, window: Sequence[int], stride: Sequence[int], dilation: Sequence[int] = ONE
) -> Pair:
    """The height and width of what windows on x give.

    Raises:
        ValueError: the window is larger than x.
    """
    height, width = span(window, dilation)
    if x[0] < height or x[1] < width:
        raise ValueError(f"a window of {(height, width)} does not fit an image of {x[:2]}")
    return (x[0] - height) // stride[0] + 1, (x[1] - width) // stride[1] + 1


def taps(
    x: np.ndarray, window: Sequence[int], stride: Sequence[int], dilation: Sequence[int] = ONE
) -> Iterator[np.ndarray]:
    """x (B, H, W, C) as each pixel of the window sees it, row-major: (B, H', W', C)."""
    height, width = windowed(x.shape[1:], window, stride, dilation)
    for i, j in product(range(window[0]), range(window[1])):
        down, across = i * dilation[0], j * dilation[1]
        yield x[
            :,
            down : down + (height - 1) * stride[0] + 1 : stride[0],
            across : across + (width - 1) * stride[1] + 1 : stride[1],
        ]
