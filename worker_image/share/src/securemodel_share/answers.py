"""What a client makes of logits: the functions at a model's end (contract/functions.json), here by
TensorFlow, to see how far the fixed point's error comes through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .tfe.compat import tf

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "softmax": tf.nn.softmax,
    "log_softmax": tf.nn.log_softmax,
    "sigmoid": tf.nn.sigmoid,
    "hard_sigmoid": lambda x: tf.clip_by_value(x / 6 + 0.5, 0, 1),
    "hard_sigmoid_2": lambda x: tf.clip_by_value(x / 5 + 0.5, 0, 1),
    "tanh": tf.nn.tanh,
    "softplus": tf.nn.softplus,
    "softsign": tf.nn.softsign,
    "exponential": tf.exp,
    "elu": lambda x, alpha: tf.where(x > 0, x, float(alpha) * tf.nn.elu(x)),
    "selu": tf.nn.selu,
    "gelu": tf.nn.gelu,
    "gelu_tanh": lambda x: tf.nn.gelu(x, approximate=True),
    "swish": tf.nn.silu,
    "log_sigmoid": tf.math.log_sigmoid,
    "hard_swish": lambda x: x * tf.clip_by_value(x / 6 + 0.5, 0, 1),
    "mish": lambda x: x * tf.nn.tanh(tf.nn.softplus(x)),
}


def answer(functions: Sequence[Mapping[str, Any]], logits: np.ndarray) -> np.ndarray:
    """The functions one after the other, on logits (B, ...output), float64."""
    x = tf.constant(logits, tf.float64)
    for function in functions:
        takes = {key: value for key, value in function.items() if key != "function"}
        x = FUNCTIONS[function["function"]](x, **takes)
    return np.asarray(x)
