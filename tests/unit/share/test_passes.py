"""Each pass on a small graph: the program gets cheaper, and its result stays the same."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securemodel_share import passes
from securemodel_share.execute import execute
from securemodel_share.ir import ops as ir
from securemodel_share.ir.graph import Graph
from securemodel_share.passes.guard_weights import GUARD_BITS
from securemodel_share.program import Program, fix

if TYPE_CHECKING:
    from collections.abc import Callable

RANDOM = np.random.default_rng(3)


class Chain:
    """Builds a graph of one operation after the other."""

    def __init__(self, *shape: int) -> None:
        self.graph = Graph()
        self.at = self.graph.append(ir.Input(shape))

    def then(self, op: ir.Op, *weights: np.ndarray) -> Chain:
        inputs = [self.at, *(self.graph.append_weight(w, op.name) for w in weights)]
        self.at = self.graph.append(op, tuple(inputs), op.name)
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        return self.graph.nodes[self.at].shape

    def conv(
        self, filters: int, size: int = 3, stride: tuple[int, int] = (1, 1), *, bias: bool = True
    ) -> Chain:
        kernel = RANDOM.normal(0, 0.3, (size, size, self.shape[2], filters))
        self.then(ir.Conv2D(stride=stride), kernel)
        return self.then(ir.Add(), RANDOM.normal(size=filters)) if bias else self

    def pool(
        self, window: tuple[int, int] = (2, 2), stride: tuple[int, int] | None = None
    ) -> Chain:
        return self.then(ir.AveragePool(window, stride or window))

    def max_pool(
        self, window: tuple[int, int] = (2, 2), stride: tuple[int, int] | None = None
    ) -> Chain:
        return self.then(ir.MaxPool(window, stride or window))

    def dense(self, units: int) -> Chain:
        self.then(ir.MatMul(), RANDOM.normal(0, 0.3, (self.shape[0], units)))
        return self.then(ir.Add(), RANDOM.normal(size=units))

    def relu(self) -> Chain:
        return self.then(ir.Relu())

    def flatten(self) -> Chain:
        return self.then(ir.Reshape((int(np.prod(self.shape)),)))

    def output(self) -> Graph:
        return self.then(ir.Output()).graph


def compiled(graph: Graph, *also: Callable[[Graph], Graph]) -> Program:
    """Fixed after these passes; split_pooling is needed by every graph that pools."""
    for run in (*also, passes.split_pooling):
        graph = passes.prune(run(graph))
    return fix(graph, -1.0, 1.0)


def ops(program: Program) -> list[str]:
    return [line.op.name for line in program.instructions if line.op.name != "weight"]


def same(graph: Graph, *also: Callable[[Graph], Graph]) -> Program:
    """Compiles with and without the passes; the results must be equal."""
    plain, program = compiled(graph), compiled(graph, *also)
    x = RANDOM.uniform(-1, 1, (3, *graph.nodes[0].shape))
    np.testing.assert_allclose(execute(program, x), execute(plain, x), rtol=1e-6, atol=1e-6)
    return program


def test_pooling_moves_into_the_convolution_before_it() -> None:
    program = same(Chain(10, 9, 2).conv(3).pool().relu().output(), passes.merge_pooling)
    assert ops(program) == ["input", "sum_pool", "conv2d", "add", "truncate_relu", "output"]
    assert [line.keys["shift"] for line in program.instructions if "shift" in line.keys] == [18]
    assert next(line for line in program.instructions if line.op.name == "conv2d").keys[
        "stride"
    ] == [
        2,
        2,
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 3),
    st.booleans(),
)
def test_any_window_and_strides_move_into_the_convolution(
    stride: tuple[int, int],
    window: tuple[int, int],
    pool_stride: tuple[int, int],
    size: int,
    bias: bool,
) -> None:
    program = same(
        Chain(17, 16, 2).conv(3, size, stride, bias=bias).pool(window, pool_stride).output(),
        passes.merge_pooling,
    )
    assert ops(program).count("truncate_output") == 1
    assert "scale" not in ops(program)


def test_weights_keep_their_precision_when_a_window_is_no_power_of_two() -> None:
    chain = Chain(9, 9, 1).conv(2, bias=False).pool((3, 3))
    before = max(float(np.abs(w).max()) for w in chain.graph.weights.values())
    program = compiled(chain.output(), passes.merge_pooling)
    after = max(float(np.abs(w).max()) for w in program.weights.values())
    assert 1 <= after / before < 2
    assert program.instructions[-1].keys["shift"] == 16 + 4


def test_pooling_after_a_relu_stays_where_it_is() -> None:
    program = same(Chain(10, 10, 1).conv(3).relu().pool().output(), passes.merge_pooling)
    assert ops(program) == [
        "input",
        "conv2d",
        "add",
        "truncate_relu",
        "sum_pool",
        "scale",
        "truncate_output",
    ]


@pytest.mark.parametrize(
    ("window", "factor", "shift"), [((2, 2), 1, 2), ((2, 4), 1, 3), ((3, 3), round(2**24 / 9), 24)]
)
def test_a_division_is_a_shift_or_a_constant_and_a_shift(
    window: tuple[int, int], factor: int, shift: int
) -> None:
    program = compiled(Chain(12, 12, 1).pool(window).output())
    assert (program.instructions[-2].keys["factor"], program.instructions[-1].keys["shift"]) == (
        factor,
        shift,
    )


def test_a_window_of_one_pixel_divides_by_nothing() -> None:
    assert ops(compiled(Chain(4, 4, 1).pool((1, 1), (2, 2)).output())) == [
        "input",
        "sum_pool",
        "output",
    ]


@pytest.mark.parametrize("window", [(2, 2), (3, 2)])
def test_a_division_sinks_into_the_next_product(window: tuple[int, int]) -> None:
    chain = Chain(20, 18, 2).relu().pool(window).conv(4).relu().pool(window).flatten().dense(3)
    program = same(chain.output(), passes.split_pooling, passes.sink_divisions)
    assert ops(program) == [
        "input", "relu", "sum_pool", "conv2d", "add", "truncate_relu",
        "sum_pool", "reshape", "matmul", "add", "truncate_output",
    ]  # fmt: skip


def test_a_division_that_would_need_too_large_a_shift_stays() -> None:
    program = same(
        Chain(256, 256, 1).pool((256, 256)).flatten().dense(2).output(),
        passes.split_pooling,
        passes.sink_divisions,
    )
    assert "scale" in ops(program)


@pytest.mark.parametrize("perm", list(itertools.permutations(range(3))))
def test_a_permutation_before_a_matrix_moves_into_its_rows(perm: tuple[int, ...]) -> None:
    chain = Chain(2, 3, 4)
    chain.then(ir.Transpose(perm))
    assert "transpose" not in ops(same(chain.flatten().dense(5).output(), passes.fold_transposes))


def test_a_relu_moves_behind_the_max_pooling_after_it() -> None:
    program = same(Chain(9, 8, 2).conv(3).relu().max_pool().output(), passes.place_relus)
    assert ops(program) == ["input", "conv2d", "add", "truncate", "max_pool", "relu", "output"]
    assert [
        line.shape for line in program.instructions if line.op.name in ("max_pool", "relu")
    ] == [(3, 3, 3)] * 2


def test_of_relus_around_max_poolings_one_stays() -> None:
    chain = (
        Chain(9, 9, 1).relu().relu().max_pool((2, 3)).relu().max_pool((3, 1), (1, 2)).relu().relu()
    )
    assert ops(same(chain.output(), passes.place_relus)) == [
        "input",
        "max_pool",
        "max_pool",
        "relu",
        "output",
    ]


def test_a_relu_that_something_else_reads_stays_before_its_max_pooling() -> None:
    chain = Chain(4, 4, 1).relu()
    shared = chain.at
    chain.max_pool((1, 1))
    # nothing records this today
    chain.at = chain.graph.append(ir.Add(), (chain.at, shared))
    assert [node.op.name for node in passes.place_relus(chain.graph).nodes] == [
        "input",
        "relu",
        "max_pool",
        "add",
    ]


def test_a_max_pooling_stays_before_its_relu_and_after_its_convolution() -> None:
    program = same(
        Chain(9, 8, 2).conv(3).max_pool((3, 2), (1, 3)).relu().conv(2, 2).output(),
        passes.place_relus,
        passes.merge_pooling,
    )
    assert ops(program) == [
        "input",
        "conv2d",
        "add",
        "truncate",
        "max_pool",
        "relu",
        "conv2d",
        "add",
        "truncate_output",
    ]


def test_what_changes_nothing_is_dropped() -> None:
    chain = Chain(6).dense(6).flatten().relu().relu().flatten()
    assert ops(same(chain.output(), passes.place_relus, passes.join_moves)) == [
        "input",
        "matmul",
        "add",
        "truncate_relu",
        "output",
    ]


def test_weights_get_guard_bits_that_the_truncation_takes_away() -> None:
    program = same(Chain(6).dense(6).output(), passes.guard_weights)
    assert program.instructions[-1].keys["shift"] == 16 + GUARD_BITS
    bias = next(
        line for line in program.instructions if line.op.name == "weight" and line.shape == (6,)
    )
    assert bias.keys["scale"] == 32 + GUARD_BITS


def test_guard_bits_stop_at_the_largest_shift() -> None:
    chain = Chain(6)
    chain.then(ir.MatMul(shift=14), np.eye(6))
    assert same(chain.output(), passes.guard_weights).instructions[-1].keys["shift"] == 31


def test_what_nothing_reads_is_pruned() -> None:
    chain = Chain(4)
    chain.graph.append_weight(np.ones(4), "unused")
    assert [node.op.name for node in passes.prune(chain.relu().output()).nodes] == [
        "input",
        "relu",
        "output",
    ]


def test_all_passes_together_change_no_result() -> None:
    chain = (
        Chain(20, 18, 2)
        .conv(4)
        .pool()
        .relu()
        .conv(3, 2, (1, 2))
        .relu()
        .pool((3, 2))
        .flatten()
        .dense(7)
        .dense(5)
        .relu()
        .dense(3)
    )
    graph = chain.output()
    x = RANDOM.uniform(-1, 1, (2, 20, 18, 2))
    program = fix(passes.optimize(graph), -1.0, 1.0)
    np.testing.assert_allclose(
        execute(program, x), execute(compiled(graph), x), rtol=1e-6, atol=1e-6
    )  # unmerged, 1/6 has 24 bits
    assert ops(program).count("sum_pool") == 2
    assert sum(op.startswith("truncate") for op in ops(program)) == 5
