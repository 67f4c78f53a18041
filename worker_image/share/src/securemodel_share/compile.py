"""Model to program: record the lowering through TF Encrypted, optimise, fix the point, prove the ranges."""

from __future__ import annotations

from .artifact import Model
from .graph import Graph
from .lowering import check, lower
from .passes import optimize
from .program import Program, fix
from .ranges import check_ranges


def record(model: Model) -> Graph:
    """What the model's lowering calls, as a graph."""
    check(model)
    from . import tfe_compat  # noqa: F401, PLC0415 - takes seconds; bad artifacts are refused before
    from .recorder import Recorder  # noqa: PLC0415

    recorder = Recorder()

    def enter(layer: str) -> None:
        recorder.layer = layer

    with recorder.recording():
        recorder.output(lower(model, recorder.define_private_input(model.input_shape), enter))
    return recorder.graph


def compile_model(model: Model, input_bound: float) -> Program:
    """The program of a model and its weights.

    Raises:
        ShareError: UnsupportedLayer, InvalidModel, WeightsOutOfRange or RangeOverflow, naming the layer.
    """
    program = fix(optimize(record(model)), input_bound)
    check_ranges(program, program.fixed_weights())
    return program
