"""ReLUs where values are fewest."""

from __future__ import annotations

import math
from dataclasses import dataclass

from securemodel_share.ir.builder import Rewriter
from securemodel_share.ir.graph import Graph, Node
from securemodel_share.ir.ops import (
    Add,
    Divide,
    Gather,
    MaxPool,
    MultiplyConstant,
    Product,
    Relu,
    Reshape,
    Transpose,
)

# bits that are sent for an element (docs/protocol.md, Cost: ASTRA, with a shift of 20), of a ReLU,
# and of what it adds to the truncation that it joins
ALONE, JOINED = 440, 330


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Nodes in a row that commute with a ReLU, ReLUs among them, and after how many of the others
    the one ReLU belongs.
    """

    nodes: tuple[int, ...]
    moves: tuple[int, ...]
    place: int


def place_relus(graph: Graph) -> Graph:
    """Of ReLUs, max poolings and moves of values in a row, one ReLU does: the others keep the order
    of values, and 0 where they put it, so they commute. It goes where it costs least.
    """
    chains: dict[int, Chain] = {}
    for at in range(len(graph.nodes)):
        if _commutes(graph, at) and not _follows(graph, at):
            chain = _chain(graph, at)
            if len(chain.moves) < len(chain.nodes):
                chains[at] = chain

    def rewrite(out: Rewriter, at: int, node: Node) -> int | None:
        return _ordered(out, node, chains[at]) if at in chains else None

    return Rewriter(graph, rewrite).run()


def _is_relu(node: Node) -> bool:
    return isinstance(node.op, Relu) and not node.op.threshold


def _commutes(graph: Graph, at: int) -> bool:
    node = graph.nodes[at]
    return _is_relu(node) or isinstance(node.op, (MaxPool, Gather, Reshape, Transpose))


def _follows(graph: Graph, at: int) -> bool:
    """Whether the node before belongs to the same row."""
    source = graph.nodes[at].inputs[0]
    return _commutes(graph, source) and graph.only_reader(source) == at


def _chain(graph: Graph, at: int) -> Chain:
    nodes = [at]
    while (reader := graph.only_reader(nodes[-1])) is not None and _commutes(graph, reader):
        nodes.append(reader)
    moves = [n for n in nodes if not _is_relu(graph.nodes[n])]
    source = graph.nodes[at].inputs[0]
    is_product = isinstance(graph.nodes[source].op, (Product, Add, MultiplyConstant, Divide))
    costs = [math.prod(graph.nodes[n].shape) * ALONE for n in (source, *moves)]
    if is_product and graph.only_reader(source) is not None:
        costs[0] = costs[0] // ALONE * JOINED
    return Chain(nodes=tuple(nodes), moves=tuple(moves), place=costs.index(min(costs)))


def _ordered(out: Rewriter, node: Node, chain: Chain) -> int:
    graph = out.source
    first = next(graph.nodes[n] for n in chain.nodes if _is_relu(graph.nodes[n]))
    last = out.moved[node.inputs[0]]
    for place, at in enumerate([*chain.moves, None]):
        if place == chain.place:
            last = out.put(Relu(), first, last)
        if at is not None:
            last = out.put(graph.nodes[at].op, graph.nodes[at], last)
    # what lies between is read within the row alone
    out.moved |= dict.fromkeys(chain.nodes, last)
    return last
