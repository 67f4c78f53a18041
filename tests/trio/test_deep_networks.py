"""The deep networks of examples/ through three players: what clients get is what Keras predicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import deep
from trio import Trio


def rows(name: str) -> np.ndarray:
    if name != "expressions":
        return deep.NETWORKS[name].draw(3)
    face = deep.photograph()
    return np.concatenate([face, face[:, :, ::-1], face[:, ::-1] / 2])


@pytest.mark.parametrize("protocol", ["ASTRA", "SecureNN"])
@pytest.mark.parametrize("name", deep.NETWORKS)
def test_a_deep_network_answers_as_keras_does(name: str, protocol: str, tmp_path: Path) -> None:
    network, inputs = deep.NETWORKS[name], rows(name)
    logits = deep.logits(network.file(), inputs)
    with Trio(tmp_path, max_rows=4) as trio:
        shared = trio.share(network.file(), *network.options, protocol=protocol)
        assert shared.returncode == 0, shared.stderr
        trio.wait_ready()
        with trio.client() as model:
            raw, private = model.predict(inputs, raw=True), model.predict(inputs)
            named = [model.labels[best] for best in private.argmax(-1)]
    assert np.abs(raw - logits).max() <= 1e-3 * max(1.0, np.abs(logits).max())
    assert np.abs(private - deep.probabilities(network.file(), inputs)).max() <= 1e-3
    assert named == [network.labels[best] for best in logits.argmax(-1)]
    assert name != "expressions" or named[0] == "happy"
