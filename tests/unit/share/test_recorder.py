"""Recording `tfe.*` calls: the lowering of layers, and a TF Encrypted user's own function."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import networks
from securemodel_share.compile import Wanted, compile_model, record
from securemodel_share.execute import execute, execute_fixed
from securemodel_share.ir.graph import Graph
from securemodel_share.model import Layer
from securemodel_share.passes import optimize
from securemodel_share.program import fix
from securemodel_share.readers import read_model
from securemodel_share.tfe.compat import tfe
from securemodel_share.tfe.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

RANDOM = np.random.default_rng(4)


def model(layers: list[Any], shape: tuple[int, ...] = (8, 7, 2)) -> Any:
    return read_model(networks.keras_file(shape, layers, lambda s: RANDOM.normal(0, 0.2, s)))


def test_layers_leave_no_transposition() -> None:
    graph = record(
        model(
            [
                networks.conv(3),
                networks.pool(),
                networks.RELU,
                networks.conv(2, 2),
                networks.FLATTEN,
                networks.dense(3),
            ]
        )
    )
    ops = [node.op.name for node in graph.nodes if node.op.name != "weight"]
    assert ops == [
        "input",
        "conv2d",
        "add",
        "avg_pool",
        "relu",
        "conv2d",
        "add",
        "reshape",
        "matmul",
        "add",
        "output",
    ]


def test_max_pooling_is_recorded_with_its_windows() -> None:
    graph = record(
        model(
            [
                networks.conv(3),
                networks.max_pool((3, 2), (1, 2)),
                networks.FLATTEN,
                networks.dense(3),
            ]
        )
    )
    pool = next(node for node in graph.nodes if node.op.name == "max_pool")
    assert (pool.shape, pool.layer, pool.op.keys()) == (
        (4, 2, 3),
        "maxpooling2d_1",
        {"window": [3, 2], "stride": [1, 2]},
    )


def test_padding_is_not_recorded() -> None:
    recorder = Recorder()
    with recorder.recording():
        x = tfe.transpose(recorder.define_private_input((8, 7, 2)), [0, 3, 1, 2])
        for pooling in (tfe.maxpool2d, tfe.avgpool2d):
            with pytest.raises(ValueError, match="only valid padding"):
                pooling(x, (2, 2), (2, 2), "SAME")


def test_nodes_know_their_layer() -> None:
    graph = record(model([networks.conv(3), networks.RELU, networks.FLATTEN, networks.dense(3)]))
    assert [node.layer for node in graph.nodes if node.op.name in ("conv2d", "relu", "matmul")] == [
        "conv2d_0",
        "activation_1",
        "dense_3",
    ]


def test_a_function_of_ones_own_is_recorded() -> None:
    """Images channels first throughout and flattened so, as TF Encrypted's users write it: the
    order of the matrix's rows differs from ours.
    """
    kernel, matrix = RANDOM.normal(0, 0.2, (3, 3, 2, 4)), RANDOM.normal(0, 0.2, (4 * 6 * 5, 3))
    recorder = Recorder()
    with recorder.recording():
        x = tfe.transpose(recorder.define_private_input((8, 7, 2)), [0, 3, 1, 2])
        y = tfe.relu(tfe.conv2d(x, tfe.define_private_variable(kernel), 1, "VALID"))
        recorder.output(tfe.matmul(tfe.reshape(y, [1, -1]), tfe.define_private_variable(matrix)))
    assert "transpose" in [node.op.name for node in recorder.graph.nodes]
    program = fix(optimize(recorder.graph), -1.0, 1.0)
    assert "transpose" not in [line.op.name for line in program.instructions]

    inputs = RANDOM.uniform(-1, 1, (3, 8, 7, 2))
    windows = np.lib.stride_tricks.sliding_window_view(inputs, (3, 3), axis=(1, 2))
    features = np.maximum(np.einsum("byxcij,ijco->boyx", windows, kernel), 0)
    np.testing.assert_allclose(
        execute(program, inputs), features.reshape(3, -1) @ matrix, atol=1e-9
    )


def private(value: Any) -> Any:
    return tfe.define_private_variable(value)


W = {shape: RANDOM.normal(0, 1, shape) for shape in [(5,), (4, 1), (3, 1, 1), (1, 4, 5), (5, 2)]}
KERNEL = RANDOM.normal(0, 0.3, (2, 3, 1, 6))


def depthwise(x: np.ndarray) -> np.ndarray:
    """KERNEL on images channels first, two of each channel, with strides (2, 1) and dilations (1,
    2).
    """
    seen = np.lib.stride_tricks.sliding_window_view(x, (2, 5), axis=(2, 3))[:, :, ::2, :, :, ::2]
    made = np.einsum("bcyxij,ijcm->bcmyx", seen, KERNEL.reshape(2, 3, 3, 2))
    return made.reshape(len(x), 6, *made.shape[3:])


# on an image channels first (B, 3, 4, 5): through `tfe.*`, and in numpy
WORDS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "a bias along the last axis": (lambda x: x + private(W[5,]), lambda x: x + W[5,]),
    "a bias a channel": (lambda x: x + private(W[3, 1, 1]), lambda x: x + W[3, 1, 1]),
    "a bias along two axes": (lambda x: x - private(W[1, 4, 5]), lambda x: x - W[1, 4, 5]),
    "a factor along an axis": (lambda x: x * private(W[4, 1]), lambda x: x * W[4, 1]),
    "a factor a channel": (lambda x: private(W[3, 1, 1]) * x, lambda x: x * W[3, 1, 1]),
    "public factors": (lambda x: W[1, 4, 5] * x, lambda x: x * W[1, 4, 5]),
    "numbers": (lambda x: 1 - (3 + x * 0.5 - 0.25) * 2, lambda x: 1 - (3 + x * 0.5 - 0.25) * 2),
    "nothing added": (lambda x: x + 0, lambda x: x),
    "the negative": (lambda x: -x + x * -1, lambda x: -2 * x),
    "times one": (lambda x: 1.0 * x, lambda x: x),
    "a weight of no axes": (lambda x: x * private(W[5,][0]), lambda x: x * W[5,][0]),
    "weights with the batch in front": (
        lambda x: x + private(W[1, 4, 5][np.newaxis]),
        lambda x: x + W[1, 4, 5],
    ),
    "convolutions in groups": (
        lambda x: tfe.conv2d(x, private(KERNEL), (2, 1), "VALID", (1, 2), 3),
        depthwise,
    ),
    "two values": (lambda x: x - tfe.relu(x) + x, lambda x: 2 * x - np.maximum(x, 0)),
    "another order of axes": (
        lambda x: tfe.transpose(x, [0, 2, 1, 3]) - tfe.reshape(x, [1, 4, 3, 5]),
        lambda x: x.transpose(0, 2, 1, 3) - x.reshape(-1, 4, 3, 5),
    ),
    "a threshold": (
        lambda x: tfe.relu(x, threshold=0.5) + tfe.relu(x, threshold=-0.5),
        lambda x: np.where(x >= 0.5, x, 0) + np.where(x >= -0.5, x, 0),
    ),
    "zeros around": (
        lambda x: tfe.pad(x, [[0, 0], [0, 1], [2, 0], [1, 1]]),
        lambda x: np.pad(x, [[0, 0], [0, 1], [2, 0], [1, 1]]),
    ),
    "elements of an axis": (
        lambda x: tfe.gather(x, [2, 2, 0], axis=-1),
        lambda x: x[..., [2, 2, 0]],
    ),
    "nothing between": (
        lambda x: tfe.gather(x, [0, -1, 2], axis=1),
        lambda x: x * np.array([1, 0, 1]).reshape(3, 1, 1),
    ),
    "one after the other": (
        lambda x: tfe.concat([x, tfe.relu(x)], axis=1),
        lambda x: np.concatenate([x, np.maximum(x, 0)], axis=1),
    ),
    "one after the other, along the last axis": (
        lambda x: tfe.concat([x, x, x], axis=-1),
        lambda x: np.concatenate([x, x, x], axis=-1),
    ),
    "a matrix on the last axis": (
        lambda x: tfe.matmul(x, private(W[5, 2])),
        lambda x: x @ W[5, 2],
    ),
    "a matrix on another axis": (
        lambda x: tfe.matmul(tfe.transpose(x, [0, 2, 3, 1]), private(W[3, 1, 1][:, :, 0])),
        lambda x: x.transpose(0, 2, 3, 1) @ W[3, 1, 1][:, :, 0],
    ),
}


@pytest.mark.parametrize("case", WORDS)
def test_words_mean_what_they_mean_in_numpy(case: str) -> None:
    ours, numpys = WORDS[case]
    recorder = Recorder()
    with recorder.recording():
        image = recorder.define_private_input((4, 5, 3))
        result = ours(tfe.transpose(image, [0, 3, 1, 2]))
        recorder.output(result)
    x = RANDOM.uniform(-1, 1, (6, 4, 5, 3))
    wanted = numpys(x.transpose(0, 3, 1, 2))
    assert tuple(result.shape) == (1, *wanted.shape[1:])
    program = fix(optimize(recorder.graph), -1.0, 1.0)
    np.testing.assert_allclose(execute(program, x), wanted, atol=1e-4)
    np.testing.assert_allclose(execute_fixed(program, x, RANDOM), wanted, atol=1e-3)


@pytest.mark.parametrize(
    "mixes",
    [
        lambda x: tfe.pad(x, [[1, 0], [0, 0]]),
        lambda x: tfe.gather(x, [0], axis=0),
        lambda x: tfe.concat([x, x], axis=-2),
    ],
)
def test_the_batch_axis_stays_as_it_is(mixes: Callable[[Any], Any]) -> None:
    recorder = Recorder()
    with recorder.recording(), pytest.raises(ValueError, match="the batch axis"):
        mixes(recorder.define_private_input((3,)))


@pytest.mark.parametrize("shape", [(4,), (3, 4, 5), (2, 1, 3)])
def test_a_weight_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    recorder = Recorder()
    with recorder.recording():
        x = recorder.define_private_input((4, 3))
        for word in (tfe.add, tfe.mul):
            with pytest.raises(ValueError, match="a weight of shape"):
                word(x, private(np.ones(shape)))


def test_a_weight_of_no_axes_is_a_weight() -> None:
    """Not a number of the program, which all can see."""
    recorder = Recorder()
    with recorder.recording():
        x = recorder.define_private_input((4, 3))
        recorder.output(x * private(0.125) + np.float64(0.25))
    data = [fix(optimize(g), -1.0, 1.0).encode() for g in (recorder.graph, zeroed(recorder.graph))]
    assert data[0] == data[1]
    assert [line.shape for line in fix(recorder.graph, -1.0, 1.0).instructions[1:4:2]] == [(1,)] * 2


def zeroed(graph: Graph) -> Graph:
    return Graph(graph.nodes, {at: 0 * w for at, w in graph.weights.items()})


def test_rows_of_a_batch_cannot_be_mixed() -> None:
    recorder = Recorder()
    with recorder.recording(), pytest.raises(ValueError, match="rows of a batch never mix"):
        tfe.transpose(recorder.define_private_input((3, 4)), [1, 0, 2])


def test_the_protocol_before_is_restored() -> None:
    before = tfe.get_protocol()
    with Recorder().recording():
        assert tfe.get_protocol() is not before
    assert tfe.get_protocol() is before


POOLING = ("AveragePooling2D", {"pool_size": [2, 2], "strides": [2, 2]})
MISFITS = {
    "dense on an image": (
        [networks.dense(3)],
        {},
        (
            "layer 'dense_0' (Dense) does not fit its input of shape (8, 7, 2)",
            "its kernel is (8, 3)",
        ),
    ),
    "larger kernel than image": (
        [networks.conv(3, 5), networks.conv(3, 5)],
        {},
        ("'conv2d_1' (Conv2D)", "of shape (4, 3, 3)", "its kernel is (5, 5, 3, 3)"),
    ),
    "larger window than image": (
        [networks.conv(2), POOLING],
        {"pool_size": [9, 9]},
        ("'averagepooling2d_1'", "its window is (9, 9)"),
    ),
    "stride of nothing": (
        [networks.conv(2), POOLING],
        {"strides": [0, 1]},
        ("'averagepooling2d_1'", "[0, 1] is not a size or stride"),
    ),
    "larger max window": (
        [networks.conv(2), networks.max_pool()],
        {"pool_size": [2, 8]},
        ("'maxpooling2d_1'", "its window is (2, 8)"),
    ),
    "size of no form": (
        [networks.conv(2), POOLING],
        {"pool_size": "two"},
        ("'averagepooling2d_1'", "'two' is not a size or stride"),
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_layer_that_does_not_fit_is_named(case: str, refused: Callable[..., None]) -> None:
    layers, changes, says = MISFITS[case]
    built = model(layers)
    built.layers[-1].config.update(changes)
    refused(lambda: compile_model(built, Wanted()).program, "InvalidModel", *says)


def test_pooling_of_a_vector_is_refused_by_name(refused: Callable[..., None]) -> None:
    built = model([networks.FLATTEN, networks.dense(3)])
    last = built.layers[-1].name
    pooling = Layer(kind="AveragePooling2D", name="pool", config=POOLING[1], inputs=(last,))
    pooled = replace(built, layers=(*built.layers, pooling), outputs=("pool",))
    refused(
        lambda: compile_model(pooled, Wanted()).program,
        "InvalidModel",
        "'pool'",
        "it takes images",
    )
