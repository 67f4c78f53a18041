"""Each pass on a small graph: the program gets cheaper, and its result stays the same."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphs
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

    def normalize(self) -> Chain:
        """As batch normalisation does."""
        channels = self.shape[-1]
        self.then(ir.Multiply(), RANDOM.normal(size=channels))
        return self.then(ir.Add(), RANDOM.normal(size=channels))

    def gather(self, **of_axis: Any) -> Chain:
        """Elements of the axes h, w, c."""
        axes = {"hwc".index(name): tuple(index) for name, index in of_axis.items()}
        return self.then(ir.Gather(tuple(axes), tuple(axes.values())))

    def pad(self) -> Chain:
        around = [(-1, *range(size), -1) for size in self.shape[:2]]
        return self.gather(h=around[0], w=around[1])

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


def fixed(graph: Graph) -> Program:
    """After all passes; the result must be that without them."""
    program = fix(passes.optimize(graph), -1.0, 1.0)
    x = RANDOM.uniform(-1, 1, (3, *graph.nodes[0].shape))
    np.testing.assert_allclose(execute(program, x), graphs.evaluate(graph, x), rtol=1e-4, atol=1e-4)
    return program


# how a value ends that no product has truncated since the input
UNTOUCHED = ("scale", "truncate_output")


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
        *UNTOUCHED,
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


def test_a_permutation_before_the_matrix_of_every_row_stays() -> None:
    chain = Chain(2, 3, 4).then(ir.Transpose((1, 2, 0))).then(ir.Reshape((6, 4)))
    chain.then(ir.MatMul(), RANDOM.normal(size=(4, 2)))
    assert "transpose" in ops(same(chain.output(), passes.fold_transposes))


def test_a_division_passes_relus_max_poolings_and_moves() -> None:
    chain = Chain(20, 20, 2).pool((3, 3)).relu().max_pool().pad().conv(2)
    assert "scale" not in ops(fixed(chain.output()))


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
        *UNTOUCHED,
    ]


def test_a_relu_that_something_else_reads_stays_before_its_max_pooling() -> None:
    chain = Chain(4, 4, 1).relu()
    shared = chain.at
    chain.max_pool((1, 1))
    chain.at = chain.graph.append(ir.Sum(), (chain.at, shared))
    assert ops(same(chain.output(), passes.place_relus)) == [
        "input",
        "relu",
        "max_pool",
        "sum",
        *UNTOUCHED,
    ]


TWICE = [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_relu_moves_before_an_upsampling_and_joins_its_truncation() -> None:
    program = same(
        Chain(6, 6, 1).conv(2).gather(h=TWICE, w=TWICE).relu().output(), passes.place_relus
    )
    assert ops(program) == ["input", "conv2d", "add", "truncate_relu", "gather", "output"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # of sixteen values four: less than the truncation that it would join saves
        ([1, 2], ["truncate", "gather", "relu"]),
        ([0, 1, 2], ["truncate_relu", "gather"]),
    ],
)
def test_a_relu_moves_behind_a_crop_that_leaves_few_values(
    rows: list[int], expected: list[str]
) -> None:
    columns = [0, 1, 2, 3] if len(rows) > 2 else rows
    program = same(
        Chain(6, 6, 1).conv(2).relu().gather(h=rows, w=columns).output(), passes.place_relus
    )
    assert ops(program) == ["input", "conv2d", "add", *expected, "output"]


def test_a_relu_of_another_threshold_stays_where_it_is() -> None:
    program = same(Chain(6, 6, 1).then(ir.Relu(0.25)).max_pool().output(), passes.place_relus)
    assert ops(program) == ["input", "relu", "max_pool", *UNTOUCHED]
    assert program.instructions[1].keys["threshold"] == 2**14


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


def test_a_batch_normalisation_joins_the_product_before_it() -> None:
    program = same(Chain(8, 8, 2).conv(4).normalize().relu().output(), *[passes.fold_back] * 3)
    assert ops(program) == ["input", "conv2d", "add", "truncate_relu", "output"]


def test_a_batch_normalisation_joins_a_product_behind_a_reshape_and_a_permutation() -> None:
    chain = Chain(8, 8, 2).conv(4).then(ir.Transpose((1, 0, 2))).then(ir.Reshape((36, 4)))
    program = same(chain.normalize().output(), *[passes.fold_back] * 6)
    assert ops(program) == ["input", "conv2d", "add", "truncate", "transpose", "reshape", "output"]


def test_a_factor_along_another_axis_joins_the_product_before_its_permutation() -> None:
    chain = Chain(8, 8, 2).conv(4).then(ir.Transpose((2, 0, 1)))
    chain.then(ir.Multiply(), RANDOM.random((4, 1, 1))).then(ir.Add(), RANDOM.random((4, 1, 1)))
    program = same(chain.output(), *[passes.fold_back] * 4)
    assert ops(program) == ["input", "conv2d", "add", "truncate", "transpose", "output"]


def test_a_product_that_a_relu_and_something_else_read_is_truncated_once() -> None:
    chain = Chain(6).dense(4)
    product = chain.at
    chain.relu()
    chain.at = chain.graph.append(ir.Subtract(), (chain.at, product))
    assert ops(fixed(chain.output())) == [
        "input", "matmul", "add", "truncate", "relu", "subtract", "output",
    ]  # fmt: skip


def test_a_batch_normalisation_joins_the_product_before_its_average_pooling() -> None:
    program = fixed(Chain(8, 8, 2).conv(4).pool().normalize().relu().output())
    assert ops(program) == ["input", "sum_pool", "conv2d", "add", "truncate_relu", "output"]


def test_a_batch_normalisation_between_relus_is_a_product_of_its_own() -> None:
    program = fixed(Chain(8, 8, 2).relu().normalize().relu().output())
    assert ops(program) == ["input", "relu", "multiply", "add", "truncate_relu", "output"]


def test_a_batch_normalisation_joins_all_products_after_it() -> None:
    chain = Chain(8, 8, 2).normalize()
    shared = chain.at
    chain.conv(3)
    first, chain.at = chain.at, shared
    chain.conv(3)
    chain.at = chain.graph.append(ir.Sum(), (first, chain.at))
    program = fixed(chain.output())
    assert ops(program) == [
        "input", *["conv2d", "add"] * 2, *["truncate"] * 2, "sum", "output",
    ]  # fmt: skip


def test_a_batch_normalisation_that_a_sum_reads_too_stays() -> None:
    chain = Chain(8, 8, 2).normalize()
    shared = chain.at
    chain.conv(2, 1)
    chain.at = chain.graph.append(ir.Sum(), (shared, chain.at))
    assert ops(fixed(chain.output()))[1:4] == ["multiply", "add", "truncate"]


def test_a_product_that_something_else_reads_keeps_its_weights() -> None:
    chain = Chain(8, 8, 2).conv(4, bias=False)
    product = chain.at
    chain.normalize()
    chain.at = chain.graph.append(ir.Sum(), (product, chain.at))
    assert ops(fixed(chain.output())) == [
        "input", "conv2d", "truncate", "multiply", "add", "truncate", "sum", "output",
    ]  # fmt: skip


def test_biases_of_one_product_are_added_to_it_without_a_truncation_between() -> None:
    chain = Chain(6).then(ir.MatMul(), RANDOM.normal(0, 0.3, (6, 4)))
    product = chain.at
    first = chain.then(ir.Add(), RANDOM.normal(size=4)).relu().at
    chain.at = product
    chain.then(ir.Add(), RANDOM.normal(size=4)).relu()
    chain.at = chain.graph.append(ir.Subtract(), (first, chain.at))
    assert ops(fixed(chain.output())) == [
        "input", "matmul", "add", "truncate_relu", "add", "truncate_relu", "subtract", "output",
    ]  # fmt: skip


def test_a_bias_on_a_value_that_is_no_product_makes_one_of_it() -> None:
    program = same(Chain(5).relu().then(ir.Add(), RANDOM.normal(size=5)).relu().output())
    assert ops(program) == ["input", "relu", "scale", "add", "truncate_relu", "output"]
    assert [line.op.keys() for line in program.instructions if line.op.name == "weight"] == [
        {"scale": 32}
    ]


def biases(program: Program) -> list[tuple[int, ...]]:
    return [program.instructions[line.operands[1]].shape for line in of(program, "add")]


def of(program: Program, name: str) -> list[Any]:
    return [line for line in program.instructions if line.op.name == name]


def test_an_addend_before_zeros_becomes_a_bias_of_each_pixel() -> None:
    program = fixed(Chain(6, 5, 2).normalize().pad().conv(3, bias=False).output())
    assert ops(program) == ["input", "gather", "conv2d", "add", "truncate_output"]
    assert biases(program) == [(6, 5, 3)]
    assert biases(fixed(Chain(6, 5, 2).normalize().conv(3).output())) == [(3,)]


def test_a_number_before_a_product_goes_into_its_truncation() -> None:
    """Pixels are divided by 255: weights keep their precision."""
    chain = Chain(5, 5, 1).then(ir.MultiplyConstant(1 / 255)).then(ir.AddConstant(-0.5)).pad()
    program = fixed(chain.conv(2, bias=False).output())
    assert ops(program) == ["input", "gather", "conv2d", "add", "truncate_output"]
    assert of(program, "truncate_output")[0].keys["shift"] == 16 + 8 + GUARD_BITS


def test_a_positive_number_passes_a_relu() -> None:
    chain = Chain(6, 6, 1).then(ir.MultiplyConstant(0.5)).relu().max_pool().conv(2)
    assert ops(fixed(chain.output())) == [
        "input", "max_pool", "relu", "conv2d", "add", "truncate_output",
    ]  # fmt: skip
    negative = Chain(6, 6, 1).then(ir.MultiplyConstant(-0.5)).relu().conv(2)
    assert ops(fixed(negative.output()))[1] == "scale"


@pytest.mark.parametrize("factor", [0.3, -0.3, 40.0])
def test_numbers_and_divisions_in_a_row_are_one(factor: float) -> None:
    chain = Chain(6, 6, 2).then(ir.MultiplyConstant(0.5)).pool((3, 3))
    chain.then(ir.MultiplyConstant(factor)).then(ir.AddConstant(1)).then(ir.AddConstant(-0.5))
    assert ops(fixed(chain.output())) == ["input", "sum_pool", "scale", "add", "truncate_output"]


def test_factors_that_depend_on_the_place_join_a_matrix_behind_a_reshape() -> None:
    """As those of an average pooling with padding."""
    chain = Chain(4, 4, 2).pad().pool((3, 3), (1, 1)).then(ir.Multiply(), RANDOM.random((4, 4, 1)))
    program = fixed(chain.flatten().dense(3).output())
    assert ops(program) == [
        "input", "gather", "sum_pool", "reshape", "matmul", "add", "truncate_output",
    ]  # fmt: skip


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_factors_and_addends_join_convolutions_in_groups(groups: int) -> None:
    chain = Chain(6, 6, 4).normalize()
    chain.then(ir.Conv2D(groups=groups), RANDOM.normal(0, 0.3, (3, 2, 4 // groups, 8)))
    program = fixed(chain.normalize().relu().output())
    assert ops(program) == ["input", "conv2d", "add", "truncate_relu", "output"]


def test_moves_in_a_row_are_one_and_moves_of_nothing_none() -> None:
    chain = Chain(4, 4, 2).relu().pad().gather(h=[1, -1, 3, 4], w=[0, 1, 2])
    chain.then(ir.Transpose((2, 0, 1))).then(ir.Transpose((1, 2, 0)))
    chain.then(ir.Reshape((12, 2))).flatten().then(ir.Gather((0,), (tuple(range(24)),)))
    program = same(chain.output(), *[passes.join_moves] * 3)
    assert ops(program) == ["input", "relu", "gather", "reshape", *UNTOUCHED]
    assert of(program, "gather")[0].keys["index"] == [[0, -1, 2, 3], [-1, 0, 1]]


def test_of_gathers_in_a_row_nothing_stays_nothing() -> None:
    chain = (
        Chain(4).relu().then(ir.Gather((0,), ((3, -1, 0),))).then(ir.Gather((0,), ((2, -1, 1),)))
    )
    program = same(chain.output(), passes.join_moves)
    assert of(program, "gather")[0].keys["index"] == [[0, -1, -1]]


@pytest.mark.parametrize(
    ("window", "stride", "split"),
    [
        ((3, 3), (2, 2), [[3, 1], [1, 3]]),
        ((3, 3), (1, 1), [[3, 1], [1, 3]]),
        ((2, 2), (2, 2), [[2, 2]]),
        ((2, 2), (1, 1), [[2, 1], [1, 2]]),
        # 3 and 3 levels where together they are 5
        ((5, 5), (1, 1), [[5, 5]]),
        ((4, 3), (2, 3), [[1, 3], [4, 1]]),
        ((3, 1), (1, 1), [[3, 1]]),
    ],
)
def test_a_max_pooling_goes_an_axis_at_a_time_where_that_is_less(
    window: tuple[int, int], stride: tuple[int, int], split: list[list[int]]
) -> None:
    program = same(Chain(13, 13, 2).max_pool(window, stride).output(), passes.split_max_pooling)
    assert [line.keys["window"] for line in of(program, "max_pool")] == split


@pytest.mark.parametrize(
    ("filters", "bias", "merged"), [(8, True, True), (8, False, True), (400, True, False)]
)
def test_a_separable_convolution_is_merged_if_few_multiplications_are_added(
    filters: int, bias: bool, merged: bool
) -> None:
    chain = Chain(32, 32, 3)
    chain.then(
        ir.Conv2D(stride=(2, 1), groups=3, dilation=(1, 2)), RANDOM.normal(0, 1, (3, 3, 1, 6))
    )
    if bias:
        chain.then(ir.Add(), RANDOM.normal(size=6))
    program = same(chain.conv(filters, 1, (1, 2)).output(), passes.merge_separable)
    assert len(of(program, "conv2d")) == 2 - merged


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
