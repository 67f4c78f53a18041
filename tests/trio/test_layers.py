"""Layers of any shape and with any options through three players, in both protocols: what clients
get is what Keras predicts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

import networks
from drawn_layers import FAMILIES, VERSIONS, Merging, OneLayer, drawn, few, layers
from securemodel_share.compile import Wanted, compile_model
from securemodel_share.compiled import CompiledFolder
from securemodel_share.readers import read_here
from securemodel_share.shares import PROTOCOLS
from trio import Trio


@pytest.fixture(scope="module")
def players(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    with Trio(tmp_path_factory.mktemp("layers"), max_rows=16) as running:
        yield running


def compiled(model: Any) -> CompiledFolder:
    """As the share step compiles its file."""
    program = compile_model(read_here(networks.saved(model)), Wanted()).program
    return CompiledFolder(program=program.encode(), weights=program.fixed_weights())


def of_any_version(family: str) -> st.SearchStrategy[OneLayer | Merging]:
    return st.sampled_from(list(VERSIONS)).flatmap(lambda version: layers(version, family))


# examples are small, and what a player does not answer is waited for: nothing is shrunk
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("family", FAMILIES)
def test_layers_of_any_shape_and_options_answer_as_keras_does(
    family: str, protocol: str, players: Trio
) -> None:
    @drawn(12, phases=(Phase.generate,))
    @given(of_any_version(family), few(1, 16))
    def run(layer: OneLayer | Merging, rows: int) -> None:
        model = layer.model()
        x = np.random.default_rng(rows).uniform(-1, 1, (rows, *model.inputs[0].shape[1:]))
        expected = np.asarray(model(x.astype(np.float32)))
        players.share_compiled(compiled(model), protocol)
        with players.client() as client:
            private = client.predict(x)
        assert private.shape == expected.shape
        assert np.abs(private - expected).max() <= 1e-3 * max(1.0, np.abs(expected).max())

    run()
