"""The rows on which a program is tried: the owner's, or ones that are drawn within the bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .errors import Reason, ShareError

if TYPE_CHECKING:
    from .ir.ops import Shape

# where rows come from
OWN, DRAWN = "rows", "drawn"
SEED = 11
# of each kind that is random
EACH = 4
# how many waves a smooth field has along an axis, at most
WAVES = (1.0, 3.0, 8.0)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows to try, (B, ...row), float64. `source`: the owner's "rows", or "drawn".

    ordinary: as data may be. extreme: at the edge of the bound; none of the owner's.
    """

    source: str
    ordinary: np.ndarray
    extreme: np.ndarray

    @property
    def all(self) -> np.ndarray:
        return np.concatenate([self.ordinary, self.extreme])

    def at_most(self, rows: int) -> Rows:
        """So many of each, spread over all of them."""
        return replace(
            self, ordinary=_spread(self.ordinary, rows), extreme=_spread(self.extreme, rows)
        )


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, most).astype(int)] if len(rows) > most else rows


def drawn(shape: Shape, low: float, high: float) -> Rows:
    """Rows within the bound, always the same ones."""
    return Rows(
        source=DRAWN, ordinary=_ordinary(shape, low, high), extreme=_extreme(shape, low, high)
    )


def given(values: np.ndarray, shape: Shape, low: float, high: float) -> Rows:
    """The owner's rows.

    Raises:
        ShareError: InvalidModel, they are not rows of this model; RangeOverflow, a value is
            outside [low, high].
    """
    checked = _checked(values, shape, low, high)
    return Rows(source=OWN, ordinary=checked, extreme=checked[:0])


def _checked(rows: np.ndarray, shape: Shape, low: float, high: float) -> np.ndarray:
    if rows.dtype.kind not in "fiub" or rows.ndim == 0:
        _refuse(Reason.INVALID_MODEL, f"are of type {rows.dtype}, not numbers", "store numbers")
    if rows.shape[1:] != shape or not len(rows):
        has = f"have the shape {rows.shape}, not (rows, {', '.join(map(str, shape))})"
        _refuse(Reason.INVALID_MODEL, has, "give inputs of this model, a row each")
    values = rows.astype(np.float64)
    if not np.isfinite(values).all():
        _refuse(Reason.INVALID_MODEL, "hold NaN or infinite values", "give finite numbers")
    for worst, outside in ((values.min(), values.min() < low), (values.max(), values.max() > high)):
        if outside:
            has = f"hold the value {worst:g}, which is outside {_span(low, high)}"
            spec = f"the smallest is {values.min():g}, the largest {values.max():g}"
            advice = f"{spec}: give spec.model.inputRange or inputBound that holds them"
            _refuse(Reason.RANGE_OVERFLOW, has, advice)
    return values


def _refuse(reason: Reason, problem: str, advice: str) -> None:
    raise ShareError(reason, f"the rows for calibration {problem}; {advice}")


def _span(low: float, high: float) -> str:
    return f"the range of the input, {low:g} to {high:g}"


def _ordinary(shape: Shape, low: float, high: float) -> np.ndarray:
    """Rows as data may be, float64 (B, ...row): noise, and smooth fields."""
    random = np.random.default_rng(SEED)
    middle, half = (low + high) / 2, (high - low) / 2
    rows = [random.uniform(-1, 1, shape) for _ in range(EACH)]
    rows += [np.clip(random.normal(0, 0.3, shape), -1, 1) for _ in range(EACH)]
    rows += [_field(random, shape, waves) for waves in WAVES for _ in range(EACH)]
    return middle + half * np.stack(rows)


def _extreme(shape: Shape, low: float, high: float) -> np.ndarray:
    """Rows at the edge of the bound, float64 (B, ...row)."""
    random = np.random.default_rng(SEED)
    middle, half = (low + high) / 2, (high - low) / 2
    return middle + half * np.stack(
        [*_patterns(shape), *_hot(random, shape), *_signs(random, shape)]
    )


def _patterns(shape: Shape) -> Iterator[np.ndarray]:
    """All low, all high, halfway, and checkerboards."""
    for value in (-1.0, 1.0, 0.0):
        yield np.full(shape, value)
    board = np.where(np.indices(shape).sum(axis=0) % 2, 1.0, -1.0)
    yield from (board, -board)
    if len(shape) > 1:
        board = np.where(np.indices(shape)[:-1].sum(axis=0) % 2, 1.0, -1.0)
        yield from (board, -board)


def _hot(random: np.random.Generator, shape: Shape) -> Iterator[np.ndarray]:
    """One value at one end, all others at the other."""
    for _ in range(EACH):
        row = np.full(shape, -1.0)
        row.flat[random.integers(row.size)] = 1.0
        yield from (row, -row)


def _signs(random: np.random.Generator, shape: Shape) -> Iterator[np.ndarray]:
    """Every value at an end: each for itself, whole channels, whole regions."""
    for _ in range(EACH):
        yield random.choice([-1.0, 1.0], shape)
        yield np.broadcast_to(random.choice([-1.0, 1.0], shape[-1:]), shape)
    for waves in WAVES:
        for _ in range(EACH):
            yield np.where(_field(random, shape, waves) > 0, 1.0, -1.0)


def _field(random: np.random.Generator, shape: Shape, waves: float) -> np.ndarray:
    """A smooth field from -1 to 1: waves along all axes but the last, of images the channels."""
    axes = shape[:-1] or shape
    grids = np.meshgrid(*(np.linspace(0, 1, n) for n in axes), indexing="ij")
    field = np.zeros(shape)
    for _ in range(3):
        phases = sum(grid * random.uniform(-waves, waves) for grid in grids)
        wave = np.cos(2 * np.pi * (phases + random.uniform()))
        amounts = random.normal(size=shape[-1:]) if len(shape) > 1 else np.ones(1)
        field += (wave[..., None] if len(shape) > 1 else wave) * amounts
    largest = np.abs(field).max()
    return field / largest if largest else field
