"""Model to program: record the lowering through TF Encrypted, optimise, fix the point, prove the
ranges. Importing this takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lowering import check, lower
from .passes import optimize
from .program import Program, fix
from .ranges import check_ranges
from .tfe.recorder import Recorder

if TYPE_CHECKING:
    from .ir.graph import Graph
    from .model import Model


def record(model: Model) -> Graph:
    """What the model's lowering calls, as a graph.

    Raises:
        ShareError: UnsupportedLayer, InvalidModel or WeightsOutOfRange, naming the layer.
    """
    check(model)
    recorder = Recorder()

    def enter(layer: str) -> None:
        recorder.layer = layer

    with recorder.recording():
        recorder.output(lower(model, recorder.define_private_input(model.input_shape), enter))
    return recorder.graph


def compile_model(model: Model, input_bound: float) -> Program:
    """The program of a model, and its weights beside it; inputs are at most `input_bound` in
    absolute value.

    Raises:
        ShareError: UnsupportedLayer, InvalidModel, WeightsOutOfRange or RangeOverflow, naming
            the layer.
    """
    program = fix(optimize(record(model)), -input_bound, input_bound)
    check_ranges(program, program.fixed_weights())
    return program
