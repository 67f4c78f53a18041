"""A model, layer by layer (layers/): whether all of it is understood, and its computation through
`tfe.*`. The same calls record a program under `Recorder` and compute under TF Encrypted's own
protocols.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import Finding, Reason, ShareError, refusal
from .layers import LAYERS
from .layers.activations import FUNCTIONS
from .layers.base import SEE_DOCS
from .layers.normalization import fold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .model import Layer, Model


def check(model: Model) -> None:
    """Raises what `findings` finds. Needs no TensorFlow.

    Raises:
        ShareError: UnsupportedLayer, InvalidModel or WeightsOutOfRange, naming the layer.
    """
    if found := findings(model):
        raise refusal(found)


def findings(model: Model) -> list[Finding]:
    """All reasons why the model cannot be lowered."""
    found = [finding for layer in model.layers for finding in _of_layer(layer, model.backend)]
    found += _of_chain(model)
    if not found and not any(layer.weights for layer in model.layers):
        with_weights = [kind for kind, of in LAYERS.items() if "use_bias" in of.settings]
        found.append(
            Finding(
                reason=Reason.INVALID_MODEL,
                problem=f"model {model.name!r} has no layer with weights "
                f"({', '.join(sorted(with_weights))}): there is nothing to keep secret",
                advice="check which file was stored",
            )
        )
    return found


def _unsupported(layer: Layer | None, problem: str) -> Finding:
    return Finding(
        reason=Reason.UNSUPPORTED_LAYER,
        layer=layer.name if layer else "",
        problem=f"{layer} {problem}" if layer else problem,
        advice=SEE_DOCS,
    )


def _of_layer(layer: Layer, backend: str) -> list[Finding]:
    if layer.kind == "Lambda":
        return [_unsupported(layer, "runs code from the file and is refused")]
    if layer.kind not in LAYERS:
        return [_unsupported(layer, "is not supported")]
    return LAYERS[layer.kind](layer).findings(backend)


def _of_chain(model: Model) -> Iterator[Finding]:
    """Models are chains: each layer reads the one before it and nothing else, the first is the
    only input and the last the only output.
    """
    before: tuple[str, ...] = ()
    for layer in model.layers:
        if layer.inputs != before or (before and layer.kind == "InputLayer"):
            problem = f"reads {_listed(layer.inputs)}, not {_listed(before)}"
            yield _unsupported(layer, f"{problem}; branches and shared layers are not supported")
        before = (layer.name,)
    first = (model.layers[0].name,)
    if model.inputs != first:
        problem = f"the model's inputs are {_listed(model.inputs)}"
        yield _unsupported(None, f"{problem}; one input, {_listed(first)}, is supported")
    if model.outputs != before:
        problem = f"the model's outputs are {_listed(model.outputs)}"
        yield _unsupported(
            None, f"{problem}; one output, of the last layer {_listed(before)}, is supported"
        )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names)) or "nothing"


def lower(model: Model, x: Any, enter: Callable[[str], None] = lambda _: None) -> Any:
    """Applies the model to `x`, a private tensor (B, ...row), through `tfe.*`; returns the logits.
    `enter` hears each layer's name.

    Raises:
        ShareError: a layer does not fit the shape that reaches it.
    """
    import tf_encrypted as tfe  # noqa: PLC0415 - takes seconds; bad artifacts are refused before

    values: dict[str, Any] = {}
    for layer in fold(model).layers:
        enter(layer.name)
        operands = [values[name] for name in layer.inputs] or [x]
        try:
            values[layer.name] = _apply(layer, tfe, operands)
        except ValueError as error:
            message = (
                f"{layer} does not fit its input of shape {tuple(operands[0].shape)[1:]}: {error}; "
                "check the model's input shape"
            )
            raise ShareError(Reason.INVALID_MODEL, message) from error
    return values[model.outputs[0]]


def _apply(layer: Layer, tfe: Any, operands: list[Any]) -> Any:
    kind = LAYERS[layer.kind](layer)
    y = kind.lower(tfe, *operands)
    return FUNCTIONS[kind["activation"]](tfe, y) if "activation" in kind.settings else y
