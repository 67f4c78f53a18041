"""Rewrites of a recorded graph, a file each, small and for itself. None looks at the values of
weights: any weights of one architecture give the same program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .fold_ahead import fold_ahead
from .fold_back import fold_back
from .fold_transposes import fold_transposes
from .guard_weights import guard_weights
from .join_moves import join_moves
from .merge_pooling import merge_pooling
from .merge_separable import merge_separable
from .place_relus import place_relus
from .prune import prune
from .sink_divisions import sink_divisions
from .split_max_pooling import split_max_pooling
from .split_pooling import split_pooling

if TYPE_CHECKING:
    from collections.abc import Callable

    from securemodel_share.ir.graph import Graph

    Pass = Callable[[Graph], Graph]

# until none of them finds anything: what one does lets another do more
FOLDING: tuple[Pass, ...] = (
    join_moves,
    place_relus,
    fold_back,  # before fold_ahead: after may come several products, or a bias a pixel
    fold_ahead,
    merge_pooling,
)
# then these, each where it is for a reason
ORDER: tuple[Pass, ...] = (
    merge_separable,  # after folding, which takes away what stands between the two
    split_pooling,  # after merge_pooling: leaves no average pooling to merge
    fold_back,  # numbers into the divisions that split_pooling makes
    sink_divisions,  # before guard_weights: a division needs room in its product's shift
    fold_transposes,  # before join_moves: it knows a transposition by the reshape behind it
    join_moves,
    split_max_pooling,  # after place_relus: fewer operations to move past
    guard_weights,  # last: takes what the others left of the largest shift
)


def optimize(graph: Graph) -> Graph:
    """All passes, in order."""
    for run in (settled(*FOLDING), *ORDER):
        graph = prune(run(graph))
    return graph


def settled(*runs: Pass) -> Pass:
    """These passes again and again, until they change nothing."""

    def run_all(graph: Graph) -> Graph:
        before = None
        while graph.nodes != before:
            before = graph.nodes
            for run in runs:
                graph = prune(run(graph))
        return graph

    return run_all
