"""Rows that make a program's values large: an ascent along the gradient, within the bound of the
input. Noise alone says little of what the worst input does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .cost import effort
from .execute import Step, steps
from .gradient import pull
from .ir.ops import MaxPool, Op, Relu, Weight

if TYPE_CHECKING:
    from .program import Program
    from .ranges import Met

# limits that are pushed at, the tightest, and from how many rows each
TARGETS, STARTS = 4, 4
TRIES = 24
# multiplications in all, forward and back: some seconds
EFFORT = 1e10
# elements of all values of one batch, 128 MiB
AT_ONCE = 2**24


def ascend(program: Program, rows: np.ndarray, found: Met) -> np.ndarray:
    """Rows (B, ...row) made from `rows`, on which `found` was met, that come closer to the tightest
    of its limits.
    """
    limits = np.array([limit.limit for limit in found.limits])
    tightest = np.argsort(-found.by_row.max(axis=1) / limits)[:TARGETS]
    pairs = [(i, row) for i in tightest for row in np.argsort(found.by_row[i])[::-1][:STARTS]]
    tries = int(EFFORT / (3 * effort(program.lines)))
    pairs = pairs[:: max(1, len(pairs) * 2 // max(tries, 1))]
    targets = np.array([found.limits[i].at for i, _ in pairs])
    climb = _Climb(program, rows[[row for _, row in pairs]], targets)
    for _ in range(min(TRIES, tries // len(pairs))):
        climb.step()
    return climb.best


class _Climb:
    """Rows on their way up, each with its own target and its own length of step."""

    def __init__(self, program: Program, rows: np.ndarray, targets: np.ndarray) -> None:
        self.program = program
        self.targets = targets
        self.low, self.high = program.input_range
        self.best = self.now = rows
        self.score = np.full(len(rows), -math.inf)
        self.up = np.zeros_like(rows)
        self.length = np.full(len(rows), 2 * (self.high - self.low))

    def step(self) -> None:
        """Keeps what became better, halves the step of what did not, and goes on from the best."""
        score, up = self._measured()
        is_better = score > self.score
        self.score = np.where(is_better, score, self.score)
        self.best, self.up = (
            np.where(_along(is_better, old), new, old)
            for new, old in ((self.now, self.best), (up, self.up))
        )
        self.length = np.where(is_better, self.length, self.length / 2)
        moved = self.best + _along(self.length, self.best) * np.sign(self.up)
        self.now = np.clip(moved, self.low, self.high)

    def _measured(self) -> tuple[np.ndarray, np.ndarray]:
        lines = self.program.instructions
        elements = sum(math.prod(i.shape) for i in lines if not isinstance(i.op, Weight))
        size = max(1, AT_ONCE // elements)
        parts = [
            slope(self.program, self.now[i : i + size], self.targets[i : i + size])
            for i in range(0, len(self.now), size)
        ]
        scores, ups = zip(*parts, strict=True)
        return np.concatenate(scores), np.concatenate(ups)


def slope(program: Program, x: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How large what each row's target limits is, (B,), and its gradient, of the shape of x."""
    walk = list(steps(program, x))
    score = np.zeros(len(x))
    seeds: dict[int, np.ndarray] = {}
    for at in np.unique(targets):
        line = program.instructions[at]
        rows = targets == at
        (value,) = walk[at].operands
        largest, seed = _seed(line.op, value)
        score[rows] = largest[rows]
        before = seeds.get(line.operands[0], 0.0)
        seeds[line.operands[0]] = before + np.where(_along(rows, seed), seed, 0.0)
    return score, _back(program, walk, seeds)


def _seed(op: Op, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How large what an operation limits is in each row, and its gradient in the operand."""
    if isinstance(op, MaxPool):
        most, least = op.evaluate(value), -op.evaluate(-value)
        largest, seed = _largest(most - least)
        (up,), (down,) = pull(op, (value,), most, seed), pull(op, (-value,), -least, -seed)
        return largest, np.add(up, down)
    return _largest(value - op.threshold if isinstance(op, Relu) else value)


def _largest(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest absolute value of each row, and its gradient."""
    flat = value.reshape(len(value), -1)
    rows, place = np.arange(len(flat)), np.abs(flat).argmax(axis=1)
    seed = np.zeros_like(flat)
    seed[rows, place] = np.sign(flat[rows, place])
    return np.abs(flat[rows, place]), seed.reshape(value.shape)


def _back(program: Program, walk: list[Step], gradients: dict[int, np.ndarray]) -> np.ndarray:
    """The gradient of the input, from those of some values."""
    for step in reversed(walk[1:]):
        if step.at not in gradients:
            continue
        line = program.instructions[step.at]
        pulled = pull(line.op, step.operands, step.value, gradients.pop(step.at))
        for operand, gradient in zip(line.operands, pulled, strict=True):
            if gradient is not None:
                gradients[operand] = gradients.get(operand, 0.0) + gradient
    return gradients[0]


def _along(rows: np.ndarray, like: np.ndarray) -> np.ndarray:
    """One value a row, so that it goes with (B, ...)."""
    return rows.reshape(-1, *(1,) * (like.ndim - 1))
