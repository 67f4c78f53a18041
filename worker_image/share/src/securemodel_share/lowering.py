"""Keras layers to `tfe.*` calls, a function a layer. The same calls record a program under `Recorder` and compute under TF Encrypted's own protocols.

docs/layers.md is the list for users.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .artifact import Layer, Model
from .errors import Reason, ShareError


def unsupported(layer: Layer, why: str) -> ShareError:
    return ShareError(Reason.UNSUPPORTED_LAYER, f"layer {layer.name!r} ({layer.kind}) {why}; supported layers: docs/layers.md")


def check(model: Model) -> None:
    """Raises UnsupportedLayer or InvalidModel, naming the layer, if the model cannot be lowered. Needs no TensorFlow."""
    for layer in model.layers:
        if layer.kind not in LAYERS:
            hint = " runs arbitrary code and is refused" if layer.kind == "Lambda" else " is not supported"
            raise unsupported(layer, hint.strip())
        if layer.config.get("activation", "linear") not in ("linear", "relu"):
            raise unsupported(layer, f"has activation {layer.config['activation']!r}; save a model that ends in logits, the client can apply it to the result")
        if layer.config.get("data_format", "channels_last") != "channels_last":
            raise unsupported(layer, "has data_format 'channels_first'")
        if layer.config.get("padding", "valid") != "valid":
            raise unsupported(layer, f"has padding {layer.config['padding']!r}, only 'valid' is supported")
        if layer.kind in ("Conv2D", "Dense"):
            _check_weights(layer)
        if layer.kind == "Conv2D" and (_pair(layer.config.get("dilation_rate", 1)) != (1, 1) or layer.config.get("groups", 1) != 1):
            raise unsupported(layer, "has a dilation or groups")
        if layer.kind == "ReLU" and (layer.config.get("max_value") is not None or layer.config.get("negative_slope") or layer.config.get("threshold")):
            raise unsupported(layer, "has max_value, negative_slope or threshold")


def _check_weights(layer: Layer) -> None:
    kernel = layer.weights.get("kernel")
    if kernel is None or kernel.ndim != (4 if layer.kind == "Conv2D" else 2) or (layer.config.get("use_bias", True) and "bias" not in layer.weights):
        raise ShareError(Reason.INVALID_MODEL, f"layer {layer.name!r} ({layer.kind}) has no weights of the right shape in the file; save the model again")
    for name, value in layer.weights.items():
        if not np.isfinite(value).all():
            message = f"layer {layer.name!r}: {name} holds NaN or infinite values; the model was saved after a training step that diverged"
            raise ShareError(Reason.WEIGHTS_OUT_OF_RANGE, message)


def lower(model: Model, x: Any, enter: Callable[[str], None] = lambda _: None) -> Any:
    """Applies the model to `x`, a private tensor (B, ...row), through `tfe.*`; returns the logits. `enter` hears each layer's name.

    Raises:
        ShareError: a layer does not fit the shape that reaches it.
    """
    for layer in model.layers:
        enter(layer.name)
        try:
            x = LAYERS[layer.kind](layer, x)
            if layer.config.get("activation") == "relu" and layer.kind != "Activation":
                x = _relu(layer, x)
        except (ValueError, IndexError) as error:
            message = f"layer {layer.name!r} ({layer.kind}) does not fit its input of shape {tuple(x.shape)[1:]}: {error}"
            raise ShareError(Reason.INVALID_MODEL, message) from error
    return x


def _tfe() -> Any:
    import tf_encrypted  # noqa: PLC0415 - TensorFlow takes seconds to import; bad artifacts are refused before

    return tf_encrypted


def _pair(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _channels_first(x: Any) -> Any:
    return _tfe().transpose(x, [0, 3, 1, 2])


def _channels_last(x: Any) -> Any:
    return _tfe().transpose(x, [0, 2, 3, 1])


def _conv2d(layer: Layer, x: Any) -> Any:
    tfe = _tfe()
    kernel = layer.weights["kernel"]
    height, width, channels = (int(d) for d in x.shape[1:])
    if channels != kernel.shape[2] or height < kernel.shape[0] or width < kernel.shape[1]:
        raise ValueError(f"its kernel is {kernel.shape}")
    x = tfe.conv2d(_channels_first(x), tfe.define_private_variable(kernel), _pair(layer.config.get("strides", 1)), "VALID")
    if layer.config.get("use_bias", True):
        x = x + tfe.define_private_variable(layer.weights["bias"].reshape(-1, 1, 1))
    return _channels_last(x)


def _average_pooling(layer: Layer, x: Any) -> Any:
    window = _pair(layer.config.get("pool_size", 2))
    stride = _pair(layer.config.get("strides") or window)
    height, width, _ = (int(d) for d in x.shape[1:])
    if height < window[0] or width < window[1]:
        raise ValueError(f"its window is {window}")
    return _channels_last(_tfe().avgpool2d(_channels_first(x), window, stride, "VALID"))


def _dense(layer: Layer, x: Any) -> Any:
    tfe = _tfe()
    kernel = layer.weights["kernel"]
    if len(x.shape) != 2 or int(x.shape[1]) != kernel.shape[0]:  # noqa: PLR2004
        raise ValueError(f"its kernel is {kernel.shape}; put a Flatten before it")
    x = tfe.matmul(x, tfe.define_private_variable(kernel))
    return x + tfe.define_private_variable(layer.weights["bias"]) if layer.config.get("use_bias", True) else x


def _flatten(_layer: Layer, x: Any) -> Any:
    return _tfe().reshape(x, [int(x.shape[0]), -1])


def _relu(_layer: Layer, x: Any) -> Any:
    return _tfe().relu(x)


def _activation(layer: Layer, x: Any) -> Any:
    return _relu(layer, x) if layer.config["activation"] == "relu" else x


def _identity(_layer: Layer, x: Any) -> Any:
    return x


LAYERS: dict[str, Callable[[Layer, Any], Any]] = {
    "Activation": _activation,
    "AveragePooling2D": _average_pooling,
    "Conv2D": _conv2d,
    "Dense": _dense,
    "Dropout": _identity,
    "Flatten": _flatten,
    "InputLayer": _identity,
    "ReLU": _relu,
}
