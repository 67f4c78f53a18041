"""Rewrites of a recorded graph, a file each, small and for itself. None looks at the values of
weights: any weights of one architecture give the same program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .drop_reshapes import drop_reshapes
from .fold_transposes import fold_transposes
from .guard_weights import guard_weights
from .merge_pooling import merge_pooling
from .prune import prune
from .sink_divisions import sink_divisions
from .sink_relus import sink_relus
from .split_pooling import split_pooling

if TYPE_CHECKING:
    from securemodel_share.ir.graph import Graph

# each where it is for a reason
ORDER = (
    sink_relus,  # first: the others then see operations in their final order
    merge_pooling,  # before split_pooling, which leaves no average pooling to merge
    split_pooling,  # makes the divisions that sink_divisions moves
    sink_divisions,  # before guard_weights: a division needs room in its product's shift
    fold_transposes,  # before drop_reshapes: it knows a transposition by the reshape behind it
    drop_reshapes,
    guard_weights,  # last: takes what the others left of the largest shift
)


def optimize(graph: Graph) -> Graph:
    """All passes, in order."""
    for run in ORDER:
        graph = prune(run(graph))
    return graph
