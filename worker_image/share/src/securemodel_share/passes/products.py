"""What passes know of products."""

from __future__ import annotations

from securemodel_share.ir import ops

# beyond the 16 bits that are the product's own
LARGEST_SHIFT = ops.LARGEST_SHIFT - ops.FRACTION_BITS


def division(divisor: int, shift: int) -> tuple[float, int] | None:
    """Division of a product by `divisor`: a factor in [1, 2) for its weights, which so keep their
    precision, and the product's new shift. None: too large a shift.
    """
    bits = (divisor - 1).bit_length()
    return (2**bits / divisor, shift + bits) if shift + bits <= LARGEST_SHIFT else None
