"""A model, layer by layer (layers/): whether all of it is understood, and its computation through
`tfe.*`. The same calls record a program under `Recorder` and compute under TF Encrypted's own
protocols. What the output does not depend on is left out, as Keras leaves it out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .errors import Finding, Reason, ShareError, refusal
from .layers import LAYERS, LayerType
from .layers.base import SEE_DOCS
from .layers.functions import LINEAR

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from .layers.functions import Function
    from .model import Layer, Model

ONE_AND_ONE = "make a model of one input and one output: keras.Model(input, output)"
FUNCTIONS_INSIDE = (
    "use the layer ReLU or LeakyReLU there and train again; as the last function of a model it is "
    f"supported; {SEE_DOCS}"
)
# of one row, between two layers: 64 times the largest of a ResNet
MOST_VALUES = 1 << 26
INSTEAD = (
    "say the same with layers that are no code (Rescaling, ReLU, Reshape and others in "
    "docs/layers.md), take over the weights, and save that"
)
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
    of_layers = {layer.name: _of_layer(layer, model) for layer in used(model)}
    of_graph = list(_of_graph(model))
    found = [finding for of_layer in of_layers.values() for finding in of_layer] + of_graph
    if not of_graph:
        strange = {name for name, of_layer in of_layers.items() if of_layer}
        found += _of_functions(model, strange)
    return found or list(_of_secrets(model))


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
        return [_unsupported(layer, "runs code from the file and is refused", INSTEAD)]
    if layer.kind not in LAYERS:
        return [_unsupported(layer, "is not supported")]
    try:
        return _kind(layer, model).findings()
    except RecursionError:
        return [_unsupported(layer, "has a configuration that is nested too deeply")]


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


def _tail(model: Model, strange: Collection[str] = ()) -> dict[str, Function]:
    """What the client applies, in order: the functions at the model's end, by the layers that they
    belong to. Layers that change nothing may follow, and after a function of single values layers
    that only put values elsewhere: the two commute. Functions of `strange` layers are not known.
    """
    found: dict[str, Function] = {}
    moved = False
    for name, kind in _from_the_end(model):
        function = LINEAR if name in strange else kind.function
        if function.public and (not moved or function.of_single_values):
            found[name] = function
        elif function is not LINEAR:
            break
        moved |= kind.moves
        if not (kind.passes or kind.moves):
            break
    return dict(reversed(found.items()))


def _from_the_end(model: Model) -> Iterator[tuple[str, LayerType]]:
    """Back from the output, over first operands; what is not known is passed over."""
    named = {layer.name: layer for layer in model.layers}
    names = model.outputs
    while names:
        layer = named[names[0]]
        if layer.kind in LAYERS:
            yield layer.name, _kind(layer, model)
        names = layer.inputs


def public_functions(model: Model) -> list[dict[str, Any]]:
    """The functions at the model's end, which the client applies, in order: words of
    contract/functions.json. `lower` leaves them out.
    """
    return [dict(function.public) for function in _tail(model).values()]


def _of_functions(model: Model, strange: Collection[str]) -> Iterator[Finding]:
    """Functions that only clients compute, elsewhere than at the end."""
    tail = _tail(model, strange)
    for layer in used(model):
        if layer.name in tail or layer.name in strange:
            continue
        function = _kind(layer, model).function
        if function.on_shares is None:
            problem = (
                f"has the function {function.name!r} inside the network, where it would have to be "
                "computed on shares"
            )
            yield _unsupported(layer, problem, FUNCTIONS_INSIDE)


def lower(model: Model, x: Any, enter: Callable[[str], None] = lambda _: None) -> Any:
    """Applies the model to `x`, a private tensor (B, ...row), through `tfe.*`; returns what
    `public_functions` is to be applied to. `enter` hears each layer's name.

    Raises:
        ShareError: a layer does not fit the shape that reaches it.
    """
    import tf_encrypted as tfe  # noqa: PLC0415 - takes seconds; bad artifacts are refused before

    tail = _tail(model)
    values: dict[str, Any] = {}
    for layer in used(model):
        enter(layer.name)
        kind = _kind(layer, model)
        operands = [values[name] for name in layer.inputs] or [x]
        try:
            y = kind.lower(tfe, *operands)
            _check_size(y)
            values[layer.name] = _left(kind, y) if layer.name in tail else _applied(kind, tfe, y)
        except ValueError as error:
            raise _misfit(layer, operands, error) from error
    return values[model.outputs[0]]


def _check_size(y: Any) -> None:
    size = math.prod(int(d) for d in y.shape[1:])
    if not 0 < size <= MOST_VALUES:
        raise ValueError(f"it gives {size:,} values, from 1 to {MOST_VALUES:,} are possible")


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
