"""Any graph: its program computes what the graph says, over real numbers and in fixed point, within
its bounds; passes make it cheaper and leave no trace of weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphs
from securemodel_share import passes
from securemodel_share.execute import execute, execute_fixed_values
from securemodel_share.ir.graph import Graph
from securemodel_share.passes import optimize
from securemodel_share.program import fix
from securemodel_share.ranges import bounds

if TYPE_CHECKING:
    from collections.abc import Callable

RANDOM = np.random.default_rng(8)
LOW, HIGH = -1.0, 1.0
drawn = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def rows(graph: Graph, count: int = 3) -> np.ndarray:
    return RANDOM.uniform(LOW, HIGH, (count, *graph.nodes[0].shape))


@drawn
@given(graphs.graphs())
def test_passes_change_no_result_and_save_traffic(graph: Graph) -> None:
    x = rows(graph)
    plain = fix(passes.prune(passes.split_pooling(graph)), LOW, HIGH)
    program = fix(optimize(graph), LOW, HIGH)
    wanted = graphs.evaluate(graph, x)
    for made in (plain, program):
        np.testing.assert_allclose(execute(made, x), wanted, rtol=1e-4, atol=1e-4)
    assert graphs.bits(program) <= graphs.bits(plain)


@drawn
@given(graphs.graphs())
def test_fixed_point_is_close_and_every_value_within_its_bounds(graph: Graph) -> None:
    program, x = fix(optimize(graph), LOW, HIGH), rows(graph)
    values = execute_fixed_values(program, x, RANDOM)
    result = values[-1] / 2.0**16
    np.testing.assert_allclose(result, graphs.evaluate(graph, x), rtol=2e-3, atol=2e-3)
    ends = bounds(program, program.fixed_weights())
    for value, (low, high) in zip(values, ends, strict=True):
        assert (low <= value).all()
        assert (value <= high).all()


WEIGHTS: dict[str, Callable[[tuple[int, ...]], np.ndarray]] = {
    "zeros": np.zeros,
    "ones": np.ones,
    "negative": lambda s: -RANDOM.random(s),
    "mostly zeros": lambda s: RANDOM.normal(0, 1, s) * (RANDOM.random(s) < 0.05),
    "large": lambda s: RANDOM.normal(0, 1e5, s),
    "small": lambda s: RANDOM.normal(0, 1e-20, s),
    "all alike": lambda s: np.full(s, 0.25),
}


def reweighted(graph: Graph, value: Callable[[tuple[int, ...]], np.ndarray]) -> Graph:
    return Graph(graph.nodes, {at: value(w.shape) for at, w in graph.weights.items()})


def tied(graph: Graph) -> Graph:
    """Weights of one shape are one array, as those of a layer that is called twice."""
    of: dict[tuple[int, ...], np.ndarray] = {}
    return Graph(graph.nodes, {at: of.setdefault(w.shape, w) for at, w in graph.weights.items()})


@drawn
@given(graphs.graphs(), st.sampled_from(sorted(WEIGHTS)))
def test_weights_leave_no_trace(graph: Graph, values: str) -> None:
    expected = fix(optimize(graph), LOW, HIGH).encode()
    for other in (reweighted(graph, WEIGHTS[values]), tied(graph)):
        assert fix(optimize(other), LOW, HIGH).encode() == expected
