"""What the reading process hands back, as bytes: a model, or why there is none. JSON and plain
arrays, which are safe to read whoever wrote them:

    8 bytes            length of the header, little-endian
    header             JSON
    arrays             one after the other, little-endian, as the header says
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from securemodel_share.errors import Finding, Reason, ShareError, refusal
from securemodel_share.model import Layer, Model

from . import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    # which array of the answer, by identity
    Numbers = dict[int, int]

LENGTH = 8
# more would take a multiple of it in memory here
LONGEST_HEADER = 4 * limits.TEXT
TYPES = ("<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8")


class MalformedError(Exception):
    """The bytes are no answer."""


def of(reading: Callable[[], Model]) -> Iterator[bytes]:
    """The bytes of a model that is read here, or of its refusal."""
    try:
        model = reading()
    except ShareError as error:
        findings = [asdict(finding) for finding in error.findings]
        return _written({"findings": findings}, [])
    return _of_model(model)


def _of_model(model: Model) -> Iterator[bytes]:
    """An array of several layers is written once."""
    arrays = list({id(w): w for layer in model.layers for w in layer.weights.values()}.values())
    plain = [w.astype(w.dtype.newbyteorder("<"), copy=False) for w in arrays]
    numbers = {id(w): i for i, w in enumerate(arrays)}
    header = {
        "name": model.name,
        "input_shape": model.input_shape,
        "inputs": model.inputs,
        "outputs": model.outputs,
        "backend": model.backend,
        "keras": model.keras,
        "arrays": [[w.dtype.str, w.shape] for w in plain],
        "layers": [_layer(layer, numbers) for layer in model.layers],
    }
    yield from _written(header, plain)


def _layer(layer: Layer, numbers: Numbers) -> dict[str, Any]:
    return {
        "kind": layer.kind,
        "name": layer.name,
        "config": layer.config,
        "weights": {name: numbers[id(w)] for name, w in layer.weights.items()},
        "inputs": layer.inputs,
        "arguments": layer.arguments,
    }


def _written(header: dict[str, Any], arrays: Iterable[np.ndarray]) -> Iterator[bytes]:
    encoded = json.dumps(header).encode()
    yield len(encoded).to_bytes(LENGTH, "little")
    yield encoded
    for array in arrays:
        yield array.tobytes()


def read(answer: bytes) -> Model:
    """The model that the bytes hold.

    Raises:
        ShareError: they hold a refusal.
        MalformedError: they hold neither.
    """
    try:
        return _read(answer)
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedError from error


def _read(answer: bytes) -> Model:
    begin = LENGTH + int.from_bytes(answer[:LENGTH], "little")
    if begin > LENGTH + LONGEST_HEADER:
        raise ValueError(begin)
    header = json.loads(answer[LENGTH:begin])
    if "findings" in header:
        raise refusal([_finding(written) for written in header["findings"]])
    arrays = list(_arrays(answer, begin, header["arrays"]))
    return Model(
        name=str(header["name"]),
        input_shape=tuple(map(int, header["input_shape"])),
        layers=tuple(_read_layer(written, arrays) for written in header["layers"]),
        inputs=tuple(map(str, header["inputs"])),
        outputs=tuple(map(str, header["outputs"])),
        backend=str(header["backend"]),
        keras=str(header["keras"]),
    )


def _finding(written: dict[str, Any]) -> Finding:
    texts = {key: str(written[key]) for key in ("layer", "problem", "advice")}
    return Finding(reason=Reason(written["reason"]), **texts)


def _arrays(answer: bytes, begin: int, written: list[Any]) -> Iterator[np.ndarray]:
    for kind, shape in written:
        if kind not in TYPES:
            raise ValueError(kind)
        count = math.prod(shape)
        yield np.frombuffer(answer, kind, count, begin).reshape(shape)
        begin += count * np.dtype(kind).itemsize
    if begin != len(answer):
        raise ValueError(begin)


def _read_layer(written: dict[str, Any], arrays: list[np.ndarray]) -> Layer:
    return Layer(
        kind=str(written["kind"]),
        name=str(written["name"]),
        config=dict(written["config"]),
        weights={str(name): arrays[number] for name, number in written["weights"].items()},
        inputs=tuple(map(str, written["inputs"])),
        arguments=dict(written["arguments"]),
    )


def widened(model: Model) -> Model:
    """The model with its weights in float64, where they are no integers."""
    arrays = {id(w): w for layer in model.layers for w in layer.weights.values()}
    wide = {i: w.astype(np.float64) if w.dtype.kind == "f" else w for i, w in arrays.items()}
    layers = (
        replace(layer, weights={name: wide[id(w)] for name, w in layer.weights.items()})
        for layer in model.layers
    )
    return replace(model, layers=tuple(layers))
