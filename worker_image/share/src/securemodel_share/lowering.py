"""A model, layer by layer (layers/): whether all of it is understood, and its computation through
`tfe.*`. The same calls record a program under `Recorder` and compute under TF Encrypted's own
protocols. What the output does not depend on is left out, as Keras leaves it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import Finding, Reason, ShareError, refusal
from .layers import LAYERS, LayerType
from .layers.base import SEE_DOCS
from .layers.functions import LINEAR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .layers.functions import Function
    from .model import Layer, Model

ONE_AND_ONE = "make a model of one input and one output: keras.Model(input, output)"
NUMBERS = {0: "no", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


def check(model: Model) -> None:
    """Raises what `findings` finds. Needs no TensorFlow.

    Raises:
        ShareError: UnsupportedLayer, InvalidModel or WeightsOutOfRange, naming the layer.
    """
    if found := findings(model):
        raise refusal(found)


def findings(model: Model) -> list[Finding]:
    """All reasons why the model cannot be lowered."""
    found = [finding for layer in used(model) for finding in _of_layer(layer, model)]
    found += _of_graph(model)
    return found or [*_of_functions(model), *_of_secrets(model)]


def used(model: Model) -> list[Layer]:
    """The layers that the outputs depend on, in order."""
    needed = set(model.outputs)
    for layer in reversed(model.layers):
        if layer.name in needed:
            needed.update(layer.inputs)
    return [layer for layer in model.layers if layer.name in needed]


def _kind(layer: Layer, model: Model) -> LayerType:
    return LAYERS[layer.kind](layer, keras=model.keras, backend=model.backend).meant()


def _unsupported(layer: Layer | None, problem: str, advice: str = SEE_DOCS) -> Finding:
    return Finding(
        reason=Reason.UNSUPPORTED_LAYER,
        layer=layer.name if layer else "",
        problem=f"{layer} {problem}" if layer else problem,
        advice=advice,
    )


def _of_layer(layer: Layer, model: Model) -> list[Finding]:
    if layer.kind == "Lambda":
        return [_unsupported(layer, "runs code from the file and is refused")]
    if layer.kind not in LAYERS:
        return [_unsupported(layer, "is not supported")]
    return _kind(layer, model).findings()


def _of_graph(model: Model) -> Iterator[Finding]:
    """One input and one output; each layer reads layers before it."""
    for what, names in (("input", model.inputs), ("output", model.outputs)):
        if len(names) != 1:
            count = NUMBERS.get(len(names), str(len(names)))
            problem = f"the model has {count} {what}s ({_listed(names)})"
            yield _unsupported(None, problem, ONE_AND_ONE)
    before: set[str] = set()
    for layer in used(model):
        if missing := [name for name in layer.inputs if name not in before]:
            yield _unsupported(layer, f"reads {_listed(missing)}, which no layer before it gives")
        if bool(layer.inputs) == (layer.name in model.inputs):
            problem = "reads nothing and is not" if not layer.inputs else "reads layers and is"
            yield _unsupported(layer, f"{problem} the model's input", ONE_AND_ONE)
        before.add(layer.name)
    for name in {*model.inputs, *model.outputs} - before:
        yield _unsupported(None, f"the output does not depend on {name!r}", ONE_AND_ONE)


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _of_secrets(model: Model) -> Iterator[Finding]:
    if not any(layer.weights for layer in used(model)):
        with_weights = [kind for kind, of in LAYERS.items() if of.weights != LayerType.weights]
        yield Finding(
            reason=Reason.INVALID_MODEL,
            problem=f"model {model.name!r} has no layer with weights "
            f"({', '.join(sorted(with_weights))}): there is nothing to keep secret",
            advice="check which file was stored",
        )


@dataclass(frozen=True, kw_only=True)
class _Tail:
    """What the client applies: the functions in order, and the layers that they belong to."""

    functions: tuple[Function, ...]
    layers: frozenset[str]


def _tail(model: Model) -> _Tail:
    """Back from the output, over functions that clients apply and layers that change nothing. A
    layer that only puts values elsewhere may follow a function of single values: they commute.
    """
    named = {layer.name: layer for layer in model.layers}
    functions: list[Function] = []
    layers: set[str] = set()
    moved, at = False, named[model.outputs[0]]
    while True:
        kind = _kind(at, model)
        function = kind.function
        if function.public and not (moved and not function.of_single_values):
            functions.insert(0, function)
            layers.add(at.name)
        elif function is not LINEAR:
            break
        moved |= kind.moves
        if not (kind.passes or kind.moves) or not at.inputs:
            break
        at = named[at.inputs[0]]
    return _Tail(functions=tuple(functions), layers=frozenset(layers))


def public_functions(model: Model) -> list[dict[str, Any]]:
    """The functions at the model's end, which the client applies, in order: words of
    contract/functions.json. `lower` leaves them out.
    """
    return [dict(function.public) for function in _tail(model).functions]


def _of_functions(model: Model) -> Iterator[Finding]:
    """Functions that only clients compute, elsewhere than at the end."""
    tail = _tail(model)
    for layer in used(model):
        function = _kind(layer, model).function
        if function.on_shares is None and layer.name not in tail.layers:
            yield _unsupported(
                layer,
                f"has the function {function.name!r} inside the network, where it would have to be "
                "computed on shares",
                "use 'relu', 'leaky_relu' or 'hard_tanh' there and train again; at the model's end "
                f"it is supported; {SEE_DOCS}",
            )


def lower(model: Model, x: Any, enter: Callable[[str], None] = lambda _: None) -> Any:
    """Applies the model to `x`, a private tensor (B, ...row), through `tfe.*`; returns what
    `public_functions` is to be applied to. `enter` hears each layer's name.

    Raises:
        ShareError: a layer does not fit the shape that reaches it.
    """
    import tf_encrypted as tfe  # noqa: PLC0415 - takes seconds; bad artifacts are refused before

    tail = _tail(model).layers
    values: dict[str, Any] = {}
    for layer in used(model):
        enter(layer.name)
        kind = _kind(layer, model)
        operands = [values[name] for name in layer.inputs] or [x]
        try:
            y = kind.lower(tfe, *operands)
            values[layer.name] = _left(kind, y) if layer.name in tail else _applied(kind, tfe, y)
        except ValueError as error:
            raise _misfit(layer, operands, error) from error
    return values[model.outputs[0]]


def _left(kind: LayerType, y: Any) -> Any:
    """A layer's result without its function, which the client applies."""
    kind.function.check(len(y.shape))
    return y


def _applied(kind: LayerType, tfe: Any, y: Any) -> Any:
    assert kind.function.on_shares  # noqa: S101 - findings() are empty
    return kind.function.on_shares(tfe, y)


def _misfit(layer: Layer, operands: list[Any], error: ValueError) -> ShareError:
    shapes = [str(tuple(int(d) for d in x.shape)[1:]) for x in operands]
    shape = f"input of shape {shapes[0]}" if len(shapes) == 1 else f"inputs {', '.join(shapes)}"
    message = f"{layer} does not fit its {shape}: {error}; check the model's input shape"
    return ShareError(Reason.INVALID_MODEL, message)
