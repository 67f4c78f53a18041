"""TF Encrypted's native operations as we compile them, beside the same in numpy.

The processor chooses the code, never the result.
"""

from __future__ import annotations

import functools
import operator

import numpy as np
import pytest

import tfe_ops
from securemodel_share.tfe.compat import tf

WORDS = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 4000, dtype=np.int64)


@pytest.fixture(scope="module")
def ops():
    return tf.load_op_library(str(tfe_ops.library()))


def gathered(x: np.ndarray, start: int, stride: int) -> np.ndarray:
    unsigned = np.dtype(f"u{x.dtype.itemsize}")
    bits = range(start, 8 * x.dtype.itemsize, stride)
    words = x.view(unsigned).astype(np.uint64)
    one = np.uint64(1)
    packed = sum(((words >> np.uint64(bit)) & one) << np.uint64(to) for to, bit in enumerate(bits))
    return packed.astype(unsigned).view(x.dtype)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.int64])
def test_bits_are_gathered(ops, kind: type) -> None:
    x = WORDS.astype(kind)
    for start, stride in ((0, 1), (0, 2), (1, 2), (3, 7)):
        found = ops.bit_gather(x, start=start, stride=stride).numpy()
        assert (found == gathered(x, start, stride)).all()
    found = ops.bit_split_and_gather(x, stride=2).numpy()
    assert (found == np.stack([gathered(x, 0, 2), gathered(x, 1, 2)])).all()


def test_bits_are_reversed_and_their_positions_added(ops) -> None:
    x = np.concatenate([WORDS, [0, 1, -1, -(2**63)]])
    words = [int(word) for word in x.view(np.uint64)]
    assert ops.bit_reverse(x).numpy().view(np.uint64).tolist() == [
        int(f"{word:064b}"[::-1], 2) for word in words
    ]
    assert ops.xor_indices(x).numpy().tolist() == [
        functools.reduce(operator.xor, (i for i in range(64) if word >> i & 1), 0) for word in words
    ]


def test_a_seed_gives_the_same_numbers_on_every_processor(ops) -> None:
    seed = np.arange(8, dtype=np.int32)
    numbers = ops.secure_seeded_random_uniform(
        [1000], seed, tf.constant(-30000, tf.int16), tf.constant(30000, tf.int16)
    ).numpy()
    assert numbers.min() >= -30000
    assert numbers.max() < 30000
    assert numbers.astype(int).sum() == -27854
