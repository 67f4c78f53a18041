"""Finds circles of modules inside Rust crates: `rust_circles.py FOLDER...`; exit status 1 for any.

A module counts with all that is below it, and at every level of a crate's tree siblings may not
depend on each other in a circle. A module's own file stands among its children: what a child takes
from it (`super::Thing`, not `super::sibling::Thing`) it may not give back. Cargo allows no circle
between crates.
"""

from __future__ import annotations

import sys
from collections import defaultdict, deque
from collections.abc import Iterable
from pathlib import Path

from rust_modules import Module, Use, uses

Graph = dict[str, dict[str, list[Use]]]
Circle = tuple[str, ...]

OWN_FILE = "(the file above)"
SHOWN_USES = 3


def main(folders: list[str]) -> int:
    roots = sorted(root for folder in folders for root in crate_roots(Path(folder)))
    reports = [report for root in roots for report in circles_of(root)]
    if not roots:
        sys.exit(f"no crate under {' '.join(folders)}")

    sys.stdout.writelines(f"{report}\n" for report in reports)
    return 1 if reports else 0


def crate_roots(folder: Path) -> Iterable[Path]:
    names = ("src/lib.rs", "src/main.rs", "src/bin/*.rs")
    return [root for name in names for root in folder.glob(f"**/{name}")]


def circles_of(root: Path) -> list[str]:
    """A report of each circle in the crate whose first file is `root`."""
    levels = graphs(uses(root))
    return [
        report(root, level, circle, graph)
        for level, graph in sorted(levels.items())
        for circle in circles(graph)
    ]


def graphs(all_uses: Iterable[Use]) -> dict[Module, Graph]:
    """For each module: which of its children, and its own file, use which, and where."""
    levels: dict[Module, Graph] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for use in all_uses:
        depth = common_depth(use.source, use.target)
        source, target = node(use.source, depth), node(use.target, depth)
        levels[use.source[:depth]][source][target].append(use)

    return levels


def common_depth(one: Module, other: Module) -> int:
    same = [a == b for a, b in zip(one, other, strict=False)]
    return [*same, False].index(False)


def node(module: Module, depth: int) -> str:
    return module[depth] if len(module) > depth else OWN_FILE


def circles(graph: Graph) -> list[Circle]:
    """The shortest circle through each edge, each circle once."""
    found: dict[frozenset[str], Circle] = {}
    for source in sorted(graph):
        for target in sorted(graph[source]):
            way = shortest_way(graph, target, source)
            if way:
                found.setdefault(frozenset(way), way)

    return sorted(found.values(), key=lambda circle: (len(circle), circle))


def shortest_way(graph: Graph, start: str, end: str) -> Circle:
    """The nodes from `start` to `end`; none if there is no way."""
    ways: deque[Circle] = deque([(start,)])
    seen = {start}
    while ways:
        way = ways.popleft()
        if way[-1] == end:
            return way

        following = [name for name in sorted(graph.get(way[-1], ())) if name not in seen]
        seen.update(following)
        ways.extend((*way, name) for name in following)

    return ()


def report(root: Path, level: Module, circle: Circle, graph: Graph) -> str:
    first = circle.index(min(circle))
    turned = circle[first:] + circle[:first]
    lines = [
        f"{root}: circle in {'::'.join(('crate', *level))}: {' -> '.join((*turned, turned[0]))}"
    ]

    for source, target in zip(turned, (*turned[1:], turned[0]), strict=True):
        found = graph[source][target]
        lines += [f"    {use.file}:{use.line}: {use.path}" for use in found[:SHOWN_USES]]
        if len(found) > SHOWN_USES:
            lines.append(f"    and {len(found) - SHOWN_USES} more of {source} -> {target}")

    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
