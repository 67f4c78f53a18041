"""What the client applies to a prediction is what Keras applies, in both of its versions."""

from __future__ import annotations

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # read when TensorFlow is imported

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from securemodel.functions import WORDS, apply

K2, K3 = tf_keras.activations, keras.activations
# a value of the comparison window has 16 integer bits
SPREADS = [0.1, 1.0, 10.0, 1000.0, 30000.0]
EXTREMES = np.array([[0.0, 3.0, -3.0], [-32768.0, 32768.0, 2.5], [89.0, -104.0, -2.5]])

KERAS: dict[str, list[Callable[[Any], Any]]] = {
    "softmax": [K2.softmax, K3.softmax],
    "log_softmax": [tf.nn.log_softmax, K3.log_softmax],
    "sigmoid": [K2.sigmoid, K3.sigmoid],
    "hard_sigmoid": [K3.hard_sigmoid],
    "hard_sigmoid_2": [K2.hard_sigmoid],
    "tanh": [K2.tanh, K3.tanh],
    "softplus": [K2.softplus, K3.softplus],
    "softsign": [K2.softsign, K3.softsign],
    "exponential": [K2.exponential, K3.exponential],
    "elu": [lambda x: K2.elu(x, 0.3), lambda x: K3.elu(x, 0.3)],
    "selu": [K2.selu, K3.selu],
    "gelu": [K2.gelu, lambda x: K3.gelu(x, approximate=False)],
    "gelu_tanh": [lambda x: K2.gelu(x, approximate=True), lambda x: K3.gelu(x, approximate=True)],
    "swish": [K2.swish, K3.silu],
    "log_sigmoid": [tf.math.log_sigmoid, K3.log_sigmoid],
    "hard_swish": [K3.hard_silu],
    "mish": [K2.mish, K3.mish],
}
SETTINGS = {"softmax": {"axis": -1}, "log_softmax": {"axis": -1}, "elu": {"alpha": "0.3"}}


def inputs() -> np.ndarray:
    rng = np.random.default_rng(0)
    drawn = [rng.uniform(-spread, spread, (200, 3)) for spread in SPREADS]
    return np.concatenate([EXTREMES, *drawn]).astype(np.float32)


def test_every_word_is_compared() -> None:
    assert list(KERAS) == list(WORDS)


@pytest.mark.parametrize("word", WORDS)
def test_the_client_applies_what_keras_does(word: str) -> None:
    x = inputs()
    found = apply([{"function": word, **SETTINGS.get(word, {})}], x.astype(np.float64))
    with np.errstate(over="ignore"):
        single = found.astype(np.float32)
    for function in KERAS[word]:
        expected = np.array(function(tf.constant(x)))
        assert np.isfinite(expected).all() or word == "exponential"
        np.testing.assert_allclose(single, expected, rtol=2e-5, atol=1e-6)
