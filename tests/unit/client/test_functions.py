"""The last functions of a model, against arithmetic of fifty digits, and what is refused."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securemodel import UntrustedAnswerError
from securemodel.functions import WORDS, apply, check

CONTEXT = decimal.Context(prec=50)
# beyond what a value of 16 integer bits can be
EXTREMES = [0.0, 1e-12, -1e-12, 1.0, -1.0, 2.5, -2.5, 3.0, -3.0, 20.0, -20.0, 700.0, -700.0]
EXTREMES += [32768.0, -32768.0]
ONE, TWO, THREE, SIX = Decimal(1), Decimal(2), Decimal(3), Decimal(6)


def exp(x: Decimal) -> Decimal:
    return CONTEXT.exp(x)


def log(x: Decimal) -> Decimal:
    return CONTEXT.ln(x)


def sigmoid(x: Decimal) -> Decimal:
    return CONTEXT.divide(ONE, CONTEXT.add(ONE, exp(-x)))


def tanh(x: Decimal) -> Decimal:
    if abs(x) < Decimal("1e-5"):  # 1 - 2 / (exp(2x) + 1) cancels
        return x - x**3 / THREE
    return ONE - TWO / (exp(TWO * x) + ONE)


def softplus(x: Decimal) -> Decimal:
    return x + softplus(-x) if x > 0 else log1p(exp(x))


def log1p(small: Decimal) -> Decimal:
    return log(ONE + small) if small > Decimal("1e-20") else small  # else it would cancel


def relu6(x: Decimal) -> Decimal:
    return min(max(x, Decimal(0)), SIX)


def elu(x: Decimal, alpha: Decimal = ONE) -> Decimal:
    if x > 0:
        return x
    return alpha * (x + x**2 / TWO if abs(x) < Decimal("1e-8") else exp(x) - ONE)


EXACT: dict[str, Callable[[Decimal], Decimal]] = {
    "sigmoid": sigmoid,
    "hard_sigmoid": lambda x: relu6(x + THREE) / SIX,
    "hard_sigmoid_2": lambda x: min(max(Decimal("0.2") * x + Decimal("0.5"), Decimal(0)), ONE),
    "tanh": tanh,
    "softplus": softplus,
    "softsign": lambda x: x / (ONE + abs(x)),
    "elu": elu,
    "selu": lambda x: (
        Decimal("1.0507009873554804934193349852946")
        * elu(x, Decimal("1.6732632423543772848170429916717"))
    ),
    "swish": lambda x: x * sigmoid(x),
    "log_sigmoid": lambda x: -softplus(-x),
    "hard_swish": lambda x: x * relu6(x + THREE) / SIX,
    "mish": lambda x: x * tanh(softplus(x)),
}


def settings(word: str) -> dict[str, object]:
    """What a program writes for the word."""
    values = {"axis": -1, "alpha": "1.0"}
    return {"function": word, **{key: values[key] for key in WORDS[word].takes}}


@pytest.mark.parametrize("word", EXACT)
def test_a_function_is_right_to_the_last_digits(word: str) -> None:
    with decimal.localcontext(CONTEXT):
        expected = np.array([float(EXACT[word](Decimal(x))) for x in EXTREMES])
    found = apply([settings(word)], np.array(EXTREMES)[:, None])[:, 0]
    assert np.abs(found - expected).max() <= 1e-12 or np.allclose(found, expected, 1e-13, 1e-15)


@given(st.lists(st.floats(-32768, 32768), min_size=1, max_size=8))
def test_softmax_is_a_distribution_and_the_exponential_of_its_logarithm(
    logits: list[float],
) -> None:
    x = np.array([logits])
    shares = apply([settings("softmax")], x)
    assert shares.min() >= 0
    assert shares.sum() == pytest.approx(1)
    assert shares.max() == shares[0, x.argmax()]
    assert np.exp(apply([settings("log_softmax")], x)) == pytest.approx(shares, rel=1e-11)


@pytest.mark.parametrize("word", ["softmax", "log_softmax"])
def test_an_axis_is_counted_with_the_batch_in_front(word: str) -> None:
    x = np.random.default_rng(0).normal(0, 3, (2, 3, 4))
    middle = apply([{"function": word, "axis": 1}], x)
    assert middle == pytest.approx(apply([{"function": word, "axis": -2}], x))
    turned = apply([{"function": word, "axis": -1}], x.transpose(0, 2, 1)).transpose(0, 2, 1)
    assert middle == pytest.approx(turned)


def test_alpha_is_a_decimal_string() -> None:
    assert apply([{"function": "elu", "alpha": "0.25"}], np.array([[-50.0]]))[0, 0] == -0.25


def test_functions_are_applied_in_order_and_no_function_changes_nothing() -> None:
    x = np.array([[1.0, -2.0]])
    both = [{"function": "tanh"}, {"function": "exponential"}]
    assert (apply(both, x) == np.exp(np.tanh(x))).all()
    assert apply([], x) is x


def test_what_is_too_large_for_a_number_is_infinite_without_a_warning() -> None:
    assert apply([{"function": "exponential"}], np.array([[1000.0]]))[0, 0] == np.inf


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ({"function": "sparsemax", "axis": -1}, "'sparsemax', which this client does not know"),
        ({"axis": -1}, "None, which"),
        ({"function": ["softmax"]}, "does not know"),
        ({"function": "softmax"}, "no settings"),
        ({"function": "softmax", "axis": 2}, "axis 2 is out of bounds"),
        ({"function": "softmax", "axis": "-1"}, "settings"),
        ({"function": "softmax", "axis": -1, "temperature": 2}, "temperature"),
        ({"function": "elu", "alpha": "steep"}, "steep"),
        ({"function": "tanh", "axis": -1}, "axis"),
    ],
)
def test_what_is_not_understood_is_named_before_anything_is_sent(
    function: dict[str, object], says: str
) -> None:
    with pytest.raises(UntrustedAnswerError) as error:
        check([function], (10,))
    assert says in str(error.value)
