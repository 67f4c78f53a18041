"""A model as its file describes it: layers that name their inputs, with their weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One call of a layer: its class, its configuration as Keras wrote it, its weights by short
    name (kernel, bias; float64, or integers where the file stores integers).

    `name`: of a layer that is called again "dense (call 2)", with the same weights; of a layer in a
    nested model "inner/dense".
    `inputs`: the calls it reads, in order; none for a layer that reads the model's input.
    `arguments`: what else it is called with: by keyword (training, mask), by position
    ("argument 1", counted with the tensors).
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
    """Calls of layers in an order in which each comes after its inputs. `input_shape` is that of
    one row. `inputs` and `outputs` name layers. `backend`: the Keras backend that wrote the
    weights; some store kernels otherwise. `keras`: the version of Keras that wrote the model, ""
    if nothing says.
    """

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    backend: str = "tensorflow"
    keras: str = ""
