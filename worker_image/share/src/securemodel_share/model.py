"""A model as its file describes it: layers that name their inputs, with their weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer: its class, its configuration as Keras wrote it, its weights by short name (kernel,
    bias; float64, or integers where the file stores integers).

    `inputs`: the layers it reads, in order; none for a layer that reads the model's input.
    `arguments`: what else it is called with, as keywords (training, mask).
    """

    kind: str
    name: str
    config: dict[str, Any]
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    arguments: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"layer {self.name!r} ({self.kind})"


@dataclass(frozen=True, kw_only=True)
class Model:
    """Layers in an order in which each comes after its inputs. `input_shape` is that of one row,
    channels last. `inputs` and `outputs` name layers. `backend`: the Keras backend that wrote the
    weights; some store kernels otherwise.
    """

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    backend: str = "tensorflow"
