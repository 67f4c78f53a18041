"""Keras models around one layer of any shape and with any options, drawn by Hypothesis."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # read when TensorFlow is imported

import keras
import numpy as np
import tf_keras
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st

import networks

VERSIONS = {"Keras 2": tf_keras, "Keras 3": keras}
MERGING = ("Add", "Subtract", "Average", "Maximum", "Minimum", "Concatenate")
Shape = tuple[int, ...]
# a layer's kind, its arguments, and the shape of a row of its input
Drawn = tuple[str, dict[str, Any], Shape]


def drawn(count: int, phases: tuple[Phase, ...] = tuple(Phase)) -> settings:
    """The same examples in every run: `count`, or as many as SECUREMODEL_EXAMPLES says."""
    return settings(
        max_examples=int(os.environ.get("SECUREMODEL_EXAMPLES", str(count))),
        phases=phases,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
        database=None,
    )


def chain(version: str, shape: Shape, *layers: Any, seed: int = 1) -> Any:
    """Layers in a row, with random weights, and a matrix at the end: something to keep secret."""
    k = VERSIONS[version]
    model = k.Sequential([k.Input(shape), *layers, k.layers.Dense(2)])
    networks.draw(model, 0.5, seed)
    return model


def few(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, most)


def pairs(axes: int, least: int, most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[few(least, most)] * axes)


@st.composite
def convolutions(draw: Any, version: str, kind: str) -> Drawn:
    """A layer of the family, its arguments, and the shape of its input."""
    axes = draw(st.sampled_from([1, 2]))
    size, kernel = draw(pairs(axes, 1, 9)), draw(pairs(axes, 1, 4))
    given: dict[str, Any] = {"kernel_size": kernel, "use_bias": draw(st.booleans())}
    given["padding"] = draw(st.sampled_from(["valid", "same"]))
    if kind == "Conv" and axes == 1 and draw(st.booleans()):
        given["padding"] = "causal"
    strides = draw(pairs(axes, 1, 4))
    # TensorFlow has one stride for both axes there, and strides or dilation
    given["strides"] = strides if kind in ("Conv", "Transpose") else strides[0]
    if draw(st.booleans()):
        given |= {"strides": 1, "dilation_rate": draw(few(2, 3))}
    groups = draw(few(1, 2))
    channels = groups * draw(few(1, 2))
    if kind == "Conv":
        given["groups"] = groups
    if kind in ("DepthwiseConv", "SeparableConv"):
        given["depth_multiplier"] = draw(few(1, 2))
    if kind != "DepthwiseConv":
        given["filters"] = groups * draw(few(1, 2))
    if kind == "Transpose" and max(strides) > 1 and draw(st.booleans()):
        given["output_padding"] = tuple(draw(few(0, s - 1)) for s in strides)
    given["activation"] = draw(st.sampled_from(["linear", "relu", "relu6", "leaky_relu"]))
    shape = (*size, channels)
    if version == "Keras 3" and draw(st.booleans()):
        # Keras 3.15 adds a bias along the last axis where that is as long as there are channels
        given |= {"data_format": "channels_first", "use_bias": False}
        shape = (channels, *size)
    return _named(kind, axes), given, shape


def _named(kind: str, axes: int) -> str:
    return f"Conv{axes}DTranspose" if kind == "Transpose" else f"{kind}{axes}D"


@st.composite
def poolings(draw: Any, version: str, kind: str) -> Drawn:
    axes = draw(st.sampled_from([1, 2]))
    kind = draw(st.sampled_from(["GlobalMax", "GlobalAverage"])) if kind == "Global" else kind
    shape: Shape = (*draw(pairs(axes, 1, 8)), draw(few(1, 3)))
    given: dict[str, Any] = {"keepdims": draw(st.booleans())}
    if not kind.startswith("Global"):
        size = draw(pairs(axes, 1, 4))
        given = {"pool_size": size if axes == 2 else size[0]}
        given["strides"] = draw(st.none() | few(1, 4))
        given["padding"] = draw(st.sampled_from(["valid", "same"]))
    if version == "Keras 3" and draw(st.booleans()):
        given["data_format"], shape = "channels_first", (shape[-1], *shape[:-1])
    return f"{kind}Pooling{axes}D", given, shape


@st.composite
def movers(draw: Any, _version: str, _kind: str) -> Drawn:
    shape = draw(pairs(3, 1, 5))
    margins = draw(pairs(2, 0, 3)), draw(pairs(2, 0, 3))
    return draw(
        st.sampled_from(
            [
                ("Flatten", {}, shape),
                ("Reshape", {"target_shape": (shape[0], -1)}, shape),
                ("Permute", {"dims": tuple(draw(st.permutations([1, 2, 3])))}, shape),
                ("RepeatVector", {"n": draw(few(1, 4))}, shape[:1]),
                ("ZeroPadding1D", {"padding": margins[0]}, shape[:2]),
                ("ZeroPadding2D", {"padding": margins}, shape),
                ("Cropping1D", {"cropping": margins[0]}, (shape[0] + 6, shape[1])),
                ("Cropping2D", {"cropping": margins}, (shape[0] + 6, shape[1] + 6, shape[2])),
                ("UpSampling1D", {"size": draw(few(1, 3))}, shape[:2]),
                ("UpSampling2D", {"size": draw(pairs(2, 1, 3))}, shape),
                (
                    "UpSampling2D",
                    {"size": draw(pairs(2, 1, 3)), "interpolation": "bilinear"},
                    shape,
                ),
            ]
        )
    )


@st.composite
def numbers(draw: Any, version: str, _kind: str) -> Drawn:
    """Layers that take each value by itself."""
    shape = draw(pairs(draw(few(1, 3)), 1, 5))
    parameters = st.floats(0.0625, 2, width=16)
    shared = draw(st.lists(few(1, len(shape)), max_size=2, unique=True))
    relu = {"max_value": draw(st.none() | parameters), "threshold": draw(st.just(0) | parameters)}
    slope = "alpha" if version == "Keras 2" else "negative_slope"
    return draw(
        st.sampled_from(
            [
                ("ReLU", relu | {"negative_slope": draw(st.just(0) | parameters)}, shape),
                ("LeakyReLU", {slope: draw(st.just(0) | st.just(1) | parameters)}, shape),
                ("PReLU", {"shared_axes": shared or None}, shape),
                ("BatchNormalization", {"axis": draw(few(1, len(shape)))}, shape),
                ("BatchNormalization", {"center": draw(st.booleans()), "scale": False}, shape),
                ("Rescaling", {"scale": draw(parameters), "offset": draw(parameters)}, shape),
                ("Rescaling", {"scale": [0.5] * shape[-1], "offset": [-0.25] * shape[-1]}, shape),
                (
                    "Normalization",
                    {"mean": draw(parameters), "variance": draw(parameters), "axis": shared},
                    shape,
                ),
                ("Dense", {"units": draw(few(1, 4)), "use_bias": draw(st.booleans())}, shape),
            ]
        )
    )


_STRATEGIES = {
    "Conv": convolutions,
    "DepthwiseConv": convolutions,
    "SeparableConv": convolutions,
    "Transpose": convolutions,
    "Max": poolings,
    "Average": poolings,
    "Global": poolings,
    "movers": movers,
    "numbers": numbers,
}


@dataclass(frozen=True, kw_only=True)
class OneLayer:
    """A layer on rows of a shape; first, or behind dense layers with the activations `ahead`."""

    version: str
    kind: str
    arguments: dict[str, Any]
    shape: Shape
    ahead: tuple[str, ...]

    def model(self) -> Any:
        """With random weights. Ends the example if Keras itself refuses the options."""
        k = VERSIONS[self.version].layers
        ahead = [k.Dense(self.shape[-1], activation=activation) for activation in self.ahead]
        try:
            layer = getattr(k, self.kind)(**self.arguments)
            model = chain(self.version, self.shape, *ahead, layer)
            model(np.zeros((1, *self.shape), np.float32))
        except Exception:  # noqa: BLE001 - what Keras itself refuses
            assume(False)
        assume(0 not in layer.output.shape)
        return model


@dataclass(frozen=True, kw_only=True)
class Merging:
    """A layer that merges tensors made of rows of a shape; the first is broadcast where that can
    be.
    """

    version: str
    kind: str
    count: int
    shape: Shape
    arguments: dict[str, Any] = field(default_factory=dict)

    def model(self) -> Any:
        """With random weights."""
        k = VERSIONS[self.version]
        x = k.Input(self.shape)
        first = 3 if self.kind == "Concatenate" else 1
        operands = [k.layers.Dense(3 if i else first)(x) for i in range(self.count)]
        merge = getattr(k.layers, self.kind)(**self.arguments)
        model = k.Model(x, merge(operands[:2] if self.kind == "Subtract" else operands))
        networks.draw(model, 0.5)
        return model


@st.composite
def _one_layer(draw: Any, version: str, family: str) -> OneLayer:
    kind, arguments, shape = draw(_STRATEGIES[family](version, family))
    ahead = draw(st.sampled_from([(), ("linear",), ("relu",)]))
    return OneLayer(version=version, kind=kind, arguments=arguments, shape=shape, ahead=ahead)


@st.composite
def _merging(draw: Any, version: str) -> Merging:
    kind, count = draw(st.sampled_from(MERGING)), draw(few(2, 5))
    shape = draw(pairs(draw(few(1, 3)), 1, 5))
    arguments = {"axis": draw(few(1, len(shape)))} if kind == "Concatenate" else {}
    return Merging(version=version, kind=kind, count=count, shape=shape, arguments=arguments)


def layers(version: str, family: str) -> st.SearchStrategy[OneLayer | Merging]:
    """A layer of the family, and what it stands in."""
    return _merging(version) if family == "merging" else _one_layer(version, family)


FAMILIES = (*_STRATEGIES, "merging")
