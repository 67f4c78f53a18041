"""Layers that multiply each value by a number and add another: products that passes fold into a
neighbour where there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from securemodel_share.errors import Finding, Reason

from .base import LayerType, training
from .settings import axes, constants, flag, number, only, optional

if TYPE_CHECKING:
    from .base import Shape

# Keras's own, of Normalization
SMALLEST_DEVIATION = 1e-7


class BatchNormalization(LayerType):
    """A normalisation of each channel, by the statistics of training."""

    settings: ClassVar = {
        "axis": axes(),
        "epsilon": number("a number above 0", lambda v: v > 0, 0.001, "save the model again"),
        "center": flag(default=True),
        "scale": flag(default=True),
        "renorm": only(False, None, advice="build the layer without renorm"),
        "virtual_batch_size": only(None, advice="build the layer without it"),
    }
    ignored: ClassVar = training("gamma", "beta") | {
        "moving_mean_initializer": "where training began",
        "moving_variance_initializer": "where training began",
        "momentum": "how training counted its statistics",
        "synchronized": "how training counted its statistics",
        "renorm_clipping": "used with renorm alone",
        "renorm_momentum": "used with renorm alone",
        "fused": "how Keras computes it",
    }

    def weights(self) -> dict[str, Shape]:
        names = ["moving_mean", "moving_variance"]
        names += ["gamma"] * self["scale"] + ["beta"] * self["center"]
        mean = self.stored.get("moving_mean")
        return dict.fromkeys(names, mean.shape if mean is not None else (None,))

    def findings(self) -> list[Finding]:
        found = super().findings()
        if not found and (self.stored["moving_variance"] < 0).any():
            problem, advice = "has a variance below 0", "train the model again"
            found.append(self.finding(problem, advice, Reason.WEIGHTS_OUT_OF_RANGE))
        return found

    def lower(self, tfe: Any, x: Any, /) -> Any:
        factor, addend = (_along(value, x, self["axis"]) for value in self._affine())
        return affine(tfe, x, factor, addend)

    def _affine(self) -> tuple[np.ndarray, np.ndarray]:
        """The factor and the addend of each channel."""
        stored = self.stored
        factor = 1 / np.sqrt(stored["moving_variance"] + self["epsilon"])
        factor = factor * stored["gamma"] if self["scale"] else factor
        addend = -stored["moving_mean"] * factor
        return factor, addend + stored["beta"] if self["center"] else addend


class Normalization(LayerType):
    """(x - mean) / deviation, by the statistics of adapt() or those that are given; or its inverse.

    Statistics are of channels, along `axis`, or of everything.
    """

    settings: ClassVar = {
        "axis": optional(axes(least=0)),
        "invert": flag(default=False),
        "mean": optional(constants()),
        "variance": optional(constants()),
    }
    ignored_weights: ClassVar = {"count": "how many rows adapt() has seen"}

    def weights(self) -> dict[str, Shape]:
        if self["mean"] is not None:
            return {}
        mean = self.stored.get("mean")
        return dict.fromkeys(("mean", "variance"), mean.shape if mean is not None else (None,))

    def findings(self) -> list[Finding]:
        found = super().findings()
        if not found and self["mean"] is not None and self["variance"] is None:
            found.append(self.finding("has a mean and no variance", "give both, or neither"))
        if not found and (self._statistics()[1] < 0).any():
            problem, advice = "has a variance below 0", "adapt the layer again"
            found.append(self.finding(problem, advice, Reason.WEIGHTS_OUT_OF_RANGE))
        return found

    def _statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance."""
        of = self.stored if self["mean"] is None else self
        return np.asarray(of["mean"]), np.asarray(of["variance"])

    def lower(self, tfe: Any, x: Any, /) -> Any:
        mean, variance = (self._along(value, x) for value in self._statistics())
        deviation = np.maximum(np.sqrt(variance), SMALLEST_DEVIATION)
        if self["invert"]:
            return affine(tfe, x, deviation, mean)
        return affine(tfe, x, 1 / deviation, -mean / deviation)

    def _along(self, value: np.ndarray, x: Any) -> np.ndarray:
        """As Keras does: what is given is broadcast to the sizes of the axes."""
        kept = sorted(axis % len(x.shape) for axis in self["axis"] or ())
        sizes = [int(x.shape[axis]) for axis in kept]
        try:
            value = np.broadcast_to(value.reshape(value.shape[-len(kept) :] if kept else ()), sizes)
        except ValueError:
            raise ValueError(f"its statistics are of shape {value.shape}") from None
        return _along(value, x, tuple(kept))


class Rescaling(LayerType):
    """`scale` times x plus `offset`, numbers or arrays."""

    settings: ClassVar = {"scale": constants(), "offset": constants(0.0)}

    def lower(self, tfe: Any, x: Any, /) -> Any:
        return plus(tfe, times(tfe, x, self["scale"]), self["offset"])


def _along(value: np.ndarray, x: Any, of: tuple[int, ...]) -> np.ndarray:
    """Numbers of some axes of x, as many axes as a row of x has."""
    rank = len(x.shape)
    kept = [axis % rank for axis in of]
    shape = [int(x.shape[axis]) if axis in kept else 1 for axis in range(1, rank)]
    if 0 in kept or np.prod(shape) != value.size:
        raise ValueError(f"it normalises {value.size} channels of axis {of}")
    return value.reshape(shape)


def affine(tfe: Any, x: Any, factor: np.ndarray, addend: np.ndarray) -> Any:
    """x * factor + addend, secret both."""
    return x * tfe.define_private_variable(factor) + tfe.define_private_variable(addend)


def times(tfe: Any, x: Any, factor: np.ndarray) -> Any:
    """x * factor: public if it is one number, which then costs less; else secret."""
    if factor.size == 1:
        return x if factor.item() == 1 else x * factor.item()
    return x * tfe.define_private_variable(_fitting(x, factor))


def plus(tfe: Any, x: Any, addend: np.ndarray) -> Any:
    """x + addend, likewise."""
    if addend.size == 1:
        return x + addend.item() if addend.item() else x
    return x + tfe.define_private_variable(_fitting(x, addend))


def _fitting(x: Any, value: np.ndarray) -> np.ndarray:
    """An array that numpy broadcasts to a row of x. Keras may write the batch's axis too."""
    row = [int(d) for d in x.shape[1:]]
    value = value[0] if value.ndim > len(row) and len(value) == 1 else value
    try:
        fits = np.broadcast_shapes(value.shape, row) == tuple(row)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"its numbers are of shape {value.shape}")
    return value
