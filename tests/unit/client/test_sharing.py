from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securemodel import InputError
from securemodel.sharing import decode, encode, reconstruct, split

LOW, HIGH = -4 << 16, 4 << 16


@given(st.lists(st.floats(-4, 4), min_size=1, max_size=20))
def test_what_is_shared_is_reconstructed_to_half_a_unit(values: list[float]) -> None:
    secret = encode(np.array(values)[:, None], (1,), LOW, HIGH)
    first, second = split(secret)
    assert np.abs(decode(reconstruct(first, second))[:, 0] - values).max() <= 2.0**-17


def test_one_share_says_nothing_about_the_secret() -> None:
    zeros, ones = np.zeros((4096,), np.uint64), np.full((4096,), 2**63 + 1, np.uint64)
    for secret in (zeros, ones):
        for share in split(secret):
            bits = np.unpackbits(share.view(np.uint8))
            assert abs(bits.mean() - 0.5) < 0.01
    assert (split(zeros)[0] != split(zeros)[0]).any(), "fresh randomness every time"


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((2, 3)), "(2, 3)"),
        (np.zeros((0, 2)), "at least one row"),
        (np.array([["a", "b"]]), "numbers"),
        (np.array([[0.0, np.nan]]), "nan at [0, 1]"),
        (np.array([[0.0, 0.0], [-np.inf, 0.0]]), "-inf at [1, 0]"),
        (np.array([[4.1, 0.0]]), "from -4 to 4"),
        (np.array([[1e300, 0.0]]), "1e+300 at [0, 0]"),
        (np.array([[object(), 1]]), "numbers"),
    ],
)
def test_an_input_that_the_model_cannot_take_is_named(array: np.ndarray, says: str) -> None:
    with pytest.raises(InputError) as error:
        encode(array, (2,), LOW, HIGH)
    assert says in str(error.value)


def test_integers_and_half_precision_are_numbers() -> None:
    assert decode(encode(np.array([[1, -4]], np.int8), (2,), LOW, HIGH)).tolist() == [[1.0, -4.0]]
    assert decode(encode(np.array([[0.5, 2]], np.float16), (2,), LOW, HIGH)).tolist() == [
        [0.5, 2.0]
    ]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (-0.1, "the input is -0.1 at [1, 0], the model takes values from 0 to 255;"),
        (255.1, "the input is 255.1 at [1, 0], the model takes values from 0 to 255;"),
    ],
)
def test_a_range_need_not_be_symmetric(value: float, says: str) -> None:
    pixels = np.array([[0, 255], [value, 128]])
    with pytest.raises(InputError) as error:
        encode(pixels, (2,), 0, 255 << 16)
    assert says in str(error.value)
    pixels[1, 0] = 7
    assert (decode(encode(pixels, (2,), 0, 255 << 16)) == pixels).all()
