"""Keras layers to `tfe.*` calls, a function a layer. The same calls record a program under
`Recorder` and compute under TF Encrypted's own protocols.

docs/layers.md is the list for users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import Reason, ShareError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .artifact import Layer, Model


# layers with weights, and how many axes their kernel has
WEIGHTED = {"Conv2D": 4, "Dense": 2}


def unsupported(layer: Layer, why: str) -> ShareError:
    return ShareError(
        Reason.UNSUPPORTED_LAYER,
        f"layer {layer.name!r} ({layer.kind}) {why}; supported layers: docs/layers.md",
    )


def check(model: Model) -> None:
    """Raises UnsupportedLayer, InvalidModel or WeightsOutOfRange, naming the layer, if the model
    cannot be lowered. Needs no TensorFlow.
    """
    for layer in model.layers:
        _check_layer(layer)
    if not any(layer.kind in WEIGHTED for layer in model.layers):
        message = (
            f"model {model.name!r} has no layer with weights ({', '.join(WEIGHTED)}): there "
            "is nothing to keep secret; check which file was stored"
        )
        raise ShareError(Reason.INVALID_MODEL, message)


def _check_layer(layer: Layer) -> None:
    config = layer.config
    if layer.kind == "Lambda":
        raise unsupported(layer, "runs code from the file and is refused")
    if layer.kind not in LAYERS:
        raise unsupported(layer, "is not supported")
    activation = config.get("activation", "linear")
    if activation == "softmax":
        raise unsupported(
            layer,
            "has activation 'softmax'; export the model without it, ending in logits, and apply it "
            "to the prediction",
        )
    if activation not in ("linear", "relu"):
        raise unsupported(
            layer, f"has activation {_named(activation)}, only 'relu' and 'linear' are supported"
        )
    if config.get("data_format") not in (None, "channels_last"):
        raise unsupported(
            layer,
            f"has data_format {config['data_format']!r}; build the model with 'channels_last'",
        )
    if config.get("padding", "valid") != "valid":
        raise unsupported(
            layer, f"has padding {config['padding']!r}; build the model with padding='valid'"
        )
    if layer.kind == "Conv2D" and (
        config.get("dilation_rate", 1) not in (1, [1, 1]) or config.get("groups", 1) != 1
    ):
        raise unsupported(layer, "has a dilation rate or groups, which are not supported")
    if layer.kind == "ReLU" and (
        config.get("max_value") is not None
        or config.get("negative_slope")
        or config.get("threshold")
    ):
        raise unsupported(
            layer, "has max_value, negative_slope or threshold; only the plain ReLU is supported"
        )
    if layer.kind in WEIGHTED:
        _check_weights(layer)


def _named(activation: Any) -> str:
    """An activation as Keras wrote it: a name, or the description of a custom function."""
    return repr(activation.get("config", "?") if isinstance(activation, dict) else activation)[:80]


def _check_weights(layer: Layer) -> None:
    kernel, bias = layer.weights.get("kernel"), layer.weights.get("bias")
    if kernel is None or kernel.ndim != WEIGHTED[layer.kind] or 0 in kernel.shape:
        raise ShareError(
            Reason.INVALID_MODEL,
            f"layer {layer.name!r} ({layer.kind}) has no kernel of the right form in the file; "
            "save the whole model, weights included",
        )
    if layer.config.get("use_bias", True) and (bias is None or bias.shape != kernel.shape[-1:]):
        raise ShareError(
            Reason.INVALID_MODEL,
            f"layer {layer.name!r} ({layer.kind}) has no bias of {kernel.shape[-1]} elements in "
            "the file; save the model again",
        )
    for name, value in layer.weights.items():
        if not np.isfinite(value).all():
            message = (
                f"layer {layer.name!r} ({layer.kind}): its {name} holds NaN or infinite values; "
                "training has diverged: train again, with a smaller learning rate"
            )
            raise ShareError(Reason.WEIGHTS_OUT_OF_RANGE, message)


def lower(model: Model, x: Any, enter: Callable[[str], None] = lambda _: None) -> Any:
    """Applies the model to `x`, a private tensor (B, ...row), through `tfe.*`; returns the logits.
    `enter` hears each layer's name.

    Raises:
        ShareError: a layer does not fit the shape that reaches it.
    """
    for layer in model.layers:
        enter(layer.name)
        try:
            x = LAYERS[layer.kind](layer, x)
            if layer.config.get("activation") == "relu" and layer.kind != "Activation":
                x = _relu(layer, x)
        except ValueError as error:
            message = (
                f"layer {layer.name!r} ({layer.kind}) does not fit its input of shape "
                f"{tuple(x.shape)[1:]}: {error}; check the model's input shape"
            )
            raise ShareError(Reason.INVALID_MODEL, message) from error
    return x


def _tfe() -> Any:
    import tf_encrypted  # noqa: PLC0415 - TensorFlow takes seconds to import; bad artifacts are refused before

    return tf_encrypted


def _pair(value: Any) -> tuple[int, int]:
    pair = (
        (value, value)
        if isinstance(value, int)
        else tuple(value)
        if isinstance(value, (list, tuple))
        else ()
    )
    if len(pair) != 2 or not all(isinstance(n, int) and n > 0 for n in pair):  # noqa: PLR2004
        raise ValueError(f"{value!r} is not a size or stride")
    return int(pair[0]), int(pair[1])


def _channels_first(x: Any) -> Any:
    return _tfe().transpose(x, [0, 3, 1, 2])


def _channels_last(x: Any) -> Any:
    return _tfe().transpose(x, [0, 2, 3, 1])


def _image(x: Any) -> tuple[int, int, int]:
    if len(x.shape) != 4:  # noqa: PLR2004 - batch, height, width, channels
        raise ValueError("it takes images, (height, width, channels)")
    height, width, channels = (int(d) for d in x.shape[1:])
    return height, width, channels


def _conv2d(layer: Layer, x: Any) -> Any:
    tfe = _tfe()
    kernel = layer.weights["kernel"]
    height, width, channels = _image(x)
    if channels != kernel.shape[2] or height < kernel.shape[0] or width < kernel.shape[1]:
        raise ValueError(f"its kernel is {kernel.shape}")
    x = tfe.conv2d(
        _channels_first(x),
        tfe.define_private_variable(kernel),
        _pair(layer.config.get("strides", 1)),
        "VALID",
    )
    if layer.config.get("use_bias", True):
        x = x + tfe.define_private_variable(layer.weights["bias"].reshape(-1, 1, 1))
    return _channels_last(x)


def _average_pooling(layer: Layer, x: Any) -> Any:
    window, strides = _windows(layer, x)
    return _channels_last(_tfe().avgpool2d(_channels_first(x), window, strides, "VALID"))


def _max_pooling(layer: Layer, x: Any) -> Any:
    window, strides = _windows(layer, x)
    return _channels_last(_tfe().maxpool2d(_channels_first(x), window, strides, "VALID"))


def _windows(layer: Layer, x: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """The window and the strides of a pooling that fits x."""
    window = _pair(layer.config.get("pool_size", 2))
    height, width, _ = _image(x)
    if height < window[0] or width < window[1]:
        raise ValueError(f"its window is {window}")
    return window, _pair(layer.config.get("strides") or window)


def _dense(layer: Layer, x: Any) -> Any:
    tfe = _tfe()
    kernel = layer.weights["kernel"]
    if len(x.shape) != 2 or int(x.shape[1]) != kernel.shape[0]:  # noqa: PLR2004
        raise ValueError(f"its kernel is {kernel.shape}, put a Flatten before it")
    x = tfe.matmul(x, tfe.define_private_variable(kernel))
    return (
        x + tfe.define_private_variable(layer.weights["bias"])
        if layer.config.get("use_bias", True)
        else x
    )


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
    "MaxPooling2D": _max_pooling,
    "ReLU": _relu,
}
