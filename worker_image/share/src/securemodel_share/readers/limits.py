"""How much a file may ask for, by its size in bytes. No supported network comes near."""

from __future__ import annotations

MIB = 1 << 20
ATTRIBUTE = 64 * MIB
# of JSON
TEXT = 16 * MIB
NESTING = 200
# in a file of weights, and the length of their names
OBJECTS = 100_000
PATH = 4096
# Python, numpy and h5py take some 300 MiB of addresses before they read anything
_PROGRAM = 512 * MIB
_LARGEST_ARRAYS = 2 << 30


def arrays(size: int) -> int:
    """Bytes of arrays: weights that compress well are larger than their file."""
    return min(64 * MIB + 16 * size, _LARGEST_ARRAYS)


def answer(size: int) -> int:
    """Bytes of what the reading process hands back: arrays and the configuration."""
    return arrays(size) + 64 * MIB


def memory(size: int) -> int:
    """Bytes of addresses: the file twice (a zip and what is in it), the arrays twice."""
    return _PROGRAM + 2 * size + 2 * arrays(size)


def seconds(size: int) -> int:
    """Of processor time."""
    return 30 + size // (8 * MIB)


def waiting(size: int) -> int:
    """Seconds to wait for it, on a busy machine; the share Job has 600 in all."""
    return min(4 * seconds(size), 300)
