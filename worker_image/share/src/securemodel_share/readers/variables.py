"""The weights of each class of layers, in Keras's order.

`.keras` files number weights without naming them, and `.h5` files of nested models may not name
them apart. The names are those that Keras 3 writes into an `.h5` file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .network import Entry


@dataclass(frozen=True)
class Variable:
    """One weight. `key`: the setting that a layer without it turns off."""

    name: str
    key: str = ""
    trained: bool = True


KERNEL = Variable("kernel")
BIAS = Variable("bias", "use_bias")
GAMMA, BETA = Variable("gamma", "scale"), Variable("beta", "center")
PRODUCT = (KERNEL, BIAS)
SEPARABLE = (Variable("depthwise_kernel"), Variable("pointwise_kernel"), BIAS)

VARIABLES: dict[str, tuple[Variable, ...]] = {
    **dict.fromkeys(
        (
            "Dense",
            "Conv1D",
            "Conv2D",
            "Conv3D",
            "DepthwiseConv1D",
            "DepthwiseConv2D",
            "Conv1DTranspose",
            "Conv2DTranspose",
            "Conv3DTranspose",
        ),
        PRODUCT,
    ),
    "SeparableConv1D": SEPARABLE,
    "SeparableConv2D": SEPARABLE,
    "BatchNormalization": (
        GAMMA,
        BETA,
        Variable("moving_mean", trained=False),
        Variable("moving_variance", trained=False),
    ),
    "LayerNormalization": (GAMMA, BETA),
    "GroupNormalization": (GAMMA, BETA),
    "Normalization": (
        Variable("mean", trained=False),
        Variable("variance", trained=False),
        Variable("count", trained=False),
    ),
    "PReLU": (Variable("alpha"),),
    "Embedding": (Variable("embeddings"),),
}


def variables(entry: Entry) -> tuple[Variable, ...]:
    """The weights that a layer has by its configuration; none for a class that is not known."""
    return tuple(
        variable
        for variable in VARIABLES.get(entry.kind, ())
        if not variable.key or entry.config.get(variable.key, True)
    )
