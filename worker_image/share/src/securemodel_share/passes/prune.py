"""What nothing needs."""

from __future__ import annotations

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph


def prune(graph: Graph) -> Graph:
    """Drops what the output does not need; the input stays."""
    needed = {len(graph.nodes) - 1, 0}
    for at in reversed(range(len(graph.nodes))):
        if at in needed:
            needed.update(graph.nodes[at].inputs)
    return Rewriter(graph, lambda _out, at, _node: None if at in needed else Rewriter.NOWHERE).run()
