"""Functions of values: what an activation may be.

Some are computed on shares; others by the client, where they are the last that the model computes
(`public`, a word of contract/functions.json). Keras writes them by name, as a reference to a
function, or as a layer (activations.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

OnShares = Callable[[Any, Any], Any]


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function as messages call it, and how it is computed: on shares, in `tfe.*`; by the client,
    from its word and what the word takes. One at least.
    """

    name: str
    on_shares: OnShares | None = None
    public: dict[str, Any] = field(default_factory=dict)

    @property
    def of_single_values(self) -> bool:
        """Whether it does not matter to the function where a value stands."""
        return "axis" not in self.public

    def check(self, rank: int) -> None:
        """Raises ValueError if it does not fit values with that many axes, the batch included."""
        axis = self.public.get("axis", -1)
        if not -rank <= axis < rank or axis % rank == 0:
            raise ValueError(f"it has the function {self.name} over axis {axis}")


def _linear(_tfe: Any, x: Any) -> Any:
    return x


LINEAR = Function(name="linear", on_shares=_linear)


def relu(*, slope: float = 0.0, most: float | None = None, threshold: float = 0.0) -> Function:
    """Keras's ReLU with its options: x above the threshold, at most `most`; below the threshold
    slope * (x - threshold).
    """

    def on_shares(tfe: Any, x: Any) -> Any:
        if most is None and threshold == 0:
            return leaky(tfe, x, slope)
        y = _above(tfe, x, threshold)
        if most is not None:
            y = y - _above(tfe, _less(x, most), max(threshold - most, 0.0))
        if slope:
            below = _less(x, threshold)
            y = y + (below - tfe.relu(below)) * slope
        return y

    return Function(name="relu", on_shares=on_shares)


# Keras's ReLU is 0 at its threshold, that of TF Encrypted's words is not: the number after it
NEXT = 2.0**-16


def _above(tfe: Any, x: Any, threshold: float) -> Any:
    """x where it is above the threshold, else 0."""
    return tfe.relu(x, threshold=threshold + NEXT) if threshold else tfe.relu(x)


def _less(x: Any, number: float) -> Any:
    return x - number if number else x


# less than this is less than fixed point can tell from nothing
SMALLEST = 2.0**-24


def leaky(tfe: Any, x: Any, slope: float) -> Any:
    """x if it is positive, else slope * x."""
    if abs(slope) < SMALLEST:
        return tfe.relu(x)
    if abs(1 - slope) < SMALLEST:
        return x
    # the scaled ReLU's truncation and comparison are one instruction
    if slope < 1:
        return tfe.relu(x * (1 - slope)) + x * slope
    return x * slope - tfe.relu(x * (slope - 1))


def clip(tfe: Any, x: Any, low: float, high: float) -> Any:
    """x within [low, high]."""
    return tfe.relu(x - low) - tfe.relu(x - high) + low


def public(word: str, **takes: Any) -> Function:
    """A function that the client applies."""
    return Function(name=word, public={"function": word, **takes})


def elu(alpha: float) -> Function:
    """x if it is positive, else alpha * (exp(x) - 1)."""
    return public("elu", alpha=f"{Decimal(repr(alpha)):f}")


def softmax(axis: int) -> Function:
    """Softmax along an axis, counted with the batch in front."""
    return public("softmax", axis=axis)


NAMED = {
    "linear": LINEAR,
    "relu": relu(),
    "relu6": relu(most=6.0),
    "leaky_relu": relu(slope=0.2),
    "hard_tanh": Function(name="hard_tanh", on_shares=lambda tfe, x: clip(tfe, x, -1.0, 1.0)),
    "softmax": softmax(-1),
    "log_softmax": public("log_softmax", axis=-1),
    "elu": elu(1.0),
    "celu": elu(1.0),  # with Keras's own alpha, 1, they are the same
    "silu": public("swish"),
    "hard_silu": public("hard_swish"),
} | {
    word: public(word)
    for word in (
        "sigmoid",
        "hard_sigmoid",
        "tanh",
        "softplus",
        "softsign",
        "exponential",
        "selu",
        "gelu",
        "swish",
        "log_sigmoid",
        "hard_swish",
        "mish",
    )
}
# what Keras 2 computes otherwise under the same name
OF_KERAS_2 = {"hard_sigmoid": public("hard_sigmoid_2")}
# what tf.nn.softmax and tf.nn.log_softmax call themselves in a file
OF_TENSORFLOW = {"softmax_v2": "softmax", "log_softmax_v2": "log_softmax"}


def named(name: str, keras: str) -> Function | None:
    """What Keras calls so, in the version that wrote the model; None for what is not known."""
    name = OF_TENSORFLOW.get(name, name)
    return (OF_KERAS_2 if keras.startswith("2") else {}).get(name, NAMED.get(name))
