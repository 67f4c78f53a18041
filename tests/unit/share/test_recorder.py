"""Recording TF Encrypted calls: a transposition is a view until something needs the order."""

from __future__ import annotations

import numpy as np
import pytest

from securemodel_share import tfe_compat
from securemodel_share.recorder import Recorder


def recorded(calls) -> list[str]:
    recorder = Recorder()
    with recorder.recording():
        recorder.output(calls(recorder.define_private_input((4, 5, 3)), tfe_compat.tfe))
    return [node.op for node in recorder.graph.nodes]


def test_a_transposition_that_is_taken_back_costs_nothing() -> None:
    assert recorded(lambda x, tfe: tfe.transpose(tfe.relu(tfe.transpose(x, [0, 3, 1, 2])), [0, 2, 3, 1])) == ["input", "relu", "output"]


def test_a_transposition_that_matters_is_recorded() -> None:
    assert recorded(lambda x, tfe: tfe.reshape(tfe.transpose(x, [0, 3, 1, 2]), [1, -1])) == ["input", "transpose", "reshape", "output"]


def test_rows_never_mix() -> None:
    with pytest.raises(ValueError, match="rows of a batch never mix"):
        recorded(lambda x, tfe: tfe.transpose(x, [1, 0, 2, 3]))


def test_a_bias_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="bias"):
        recorded(lambda x, tfe: x + tfe.define_private_variable(np.zeros(7)))
