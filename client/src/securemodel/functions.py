"""A model's last functions: public, so the client applies them to what the players computed.

The words are those of contract/functions.json; programs hold them (docs/program.md, `public`).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import UntrustedAnswerError

Floats = npt.NDArray[np.float64]

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
GELU_CUBIC = 0.044715


@dataclass(frozen=True)
class Function:
    """`apply(x, **settings)` takes and gives (B, ...output); `takes` names its settings."""

    apply: Callable[..., Floats]
    takes: tuple[str, ...] = ()


def softmax(x: Floats, axis: int) -> Floats:
    powers = np.exp(x - x.max(axis, keepdims=True))
    total: Floats = powers / powers.sum(axis, keepdims=True)
    return total


def log_softmax(x: Floats, axis: int) -> Floats:
    below = x - x.max(axis, keepdims=True)
    logs: Floats = below - np.log(np.exp(below).sum(axis, keepdims=True))
    return logs


def softplus(x: Floats) -> Floats:
    return np.logaddexp(0.0, x)


def sigmoid(x: Floats) -> Floats:
    return np.exp(-softplus(-x))


def relu6(x: Floats) -> Floats:
    return np.clip(x, 0.0, 6.0)


def elu(x: Floats, alpha: float) -> Floats:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def gelu(x: Floats) -> Floats:
    # x · Φ(x); erfc keeps what 1 + erf would cancel
    tails = [math.erfc(-v / math.sqrt(2)) for v in x.ravel()]
    product: Floats = 0.5 * x * np.array(tails).reshape(x.shape)
    return product


def gelu_tanh(x: Floats) -> Floats:
    inner = math.sqrt(2 / math.pi) * (x + GELU_CUBIC * x**3)
    product: Floats = 0.5 * x * (1 + np.tanh(inner))
    return product


WORDS: dict[str, Function] = {
    "softmax": Function(softmax, ("axis",)),
    "log_softmax": Function(log_softmax, ("axis",)),
    "sigmoid": Function(sigmoid),
    "hard_sigmoid": Function(lambda x: relu6(x + 3) / 6),
    "hard_sigmoid_2": Function(lambda x: np.clip(0.2 * x + 0.5, 0.0, 1.0)),
    "tanh": Function(np.tanh),
    "softplus": Function(softplus),
    "softsign": Function(lambda x: x / (1 + np.abs(x))),
    "exponential": Function(np.exp),
    "elu": Function(elu, ("alpha",)),
    "selu": Function(lambda x: SELU_SCALE * elu(x, SELU_ALPHA)),
    "gelu": Function(gelu),
    "gelu_tanh": Function(gelu_tanh),
    "swish": Function(lambda x: x * sigmoid(x)),
    "log_sigmoid": Function(lambda x: -softplus(-x)),
    "hard_swish": Function(lambda x: x * relu6(x + 3) / 6),
    "mish": Function(lambda x: x * np.tanh(softplus(x))),
}
# of a setting, as programs spell it
SETTINGS: dict[str, Callable[[Any], Any]] = {"axis": operator.index, "alpha": float}


def apply(functions: Sequence[Mapping[str, Any]], x: Floats) -> Floats:
    """The functions of a program one after the other, on (B, ...output).

    Raises:
        UntrustedAnswerError: a word or a setting that this release does not know, or an axis that
            the output does not have.
    """
    with np.errstate(over="ignore"):  # exponential may be infinite, as it is in Keras
        for function in functions:
            x = _apply_one(function, x)
    return x


def check(functions: Sequence[Mapping[str, Any]], output_shape: tuple[int, ...]) -> None:
    """Applies the functions to nothing, so that what is wrong is known before anything is sent.

    Raises:
        UntrustedAnswerError: as `apply` does.
    """
    apply(functions, np.zeros((1, *output_shape)))


def _apply_one(function: Mapping[str, Any], x: Floats) -> Floats:
    given = dict(function)
    word = given.pop("function", None)
    known = WORDS.get(word) if isinstance(word, str) else None
    if known is None:
        raise UntrustedAnswerError(
            f"the model ends with the function {word!r}, which this client does not know: "
            "it needs a newer one (pip install --upgrade securemodel); raw=True gives the values "
            "before it"
        )
    try:
        if set(given) != set(known.takes):
            raise ValueError(", ".join(given) or "no settings")  # noqa: TRY301
        return known.apply(x, **{key: SETTINGS[key](value) for key, value in given.items()})
    except (ValueError, TypeError) as error:
        raise UntrustedAnswerError(
            f"the model ends with {word}, for which its settings {given} do not fit an output of "
            f"shape {x.shape} ({error}); the players and this client are not of one release"
        ) from error
