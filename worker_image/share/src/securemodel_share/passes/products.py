"""What passes know of products."""

from __future__ import annotations

# docs/program.md: a truncation takes away 31 bits at most, 16 of which are the product's own
LARGEST_SHIFT = 31 - 16


def division(divisor: int, shift: int) -> tuple[float, int] | None:
    """Division of a product by `divisor`: a factor in [1, 2) for its weights, which so keep their
    precision, and the product's new shift. None: too large a shift.
    """
    bits = (divisor - 1).bit_length()
    return (2**bits / divisor, shift + bits) if shift + bits <= LARGEST_SHIFT else None
