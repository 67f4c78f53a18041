"""The client's side of docs/wire.md, without any I/O: bodies, metadata, errors, who has to agree with whom."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import Disagreement, ModelNotFound, NotReady, PlayerError, ProtocolError
from .fixedpoint import RING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ROLES = ("alice", "bob")
PROTOCOLS = ("ASTRA",)
JSON_LENGTH = "Inference-Header-Content-Length"
MAX_JSON = 64 << 10
# what a proxy before the players answers when they are away
_TRANSIENT = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}


def identity(namespace: str, model: str, role: str) -> str:
    """The URI SAN that a certificate of this role carries."""
    return f"securemodel://{namespace}/{model}/{role}"


def model_path(model: str, rest: str = "") -> str:
    return f"/v2/models/{model}{rest}"


@dataclass(frozen=True)
class Reply:
    """One HTTP response. `json_length`: bytes of the JSON before the tensor, None where there is no tensor."""

    role: str
    status: int
    body: bytes
    json_length: int | None = None
    retry_after: float = 0.0


@dataclass(frozen=True)
class Metadata:
    """What the players say about a model.

    `input_shape`, `output_shape`: of one row. `input_bound`: every input value v has |v| * 2^fraction_bits <= input_bound. `max_rows`: rows a request.
    `digest`: SHA-256 of the program, hex. `generation`: which sharing of the weights this is, 32 hex digits.
    """

    model: str
    protocol: str
    digest: str
    generation: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    fraction_bits: int
    input_bound: int
    max_rows: int


@dataclass(frozen=True)
class OutputShare:
    """One player's share of an answer: `tensor` ring elements, (B, *output_shape)."""

    role: str
    id: str
    generation: str
    digest: str
    epoch: str
    batch: int
    hops: int
    tensor: NDArray[np.uint64]


def infer_body(request_id: str, share: NDArray[np.uint64]) -> tuple[bytes, int]:
    """The body of a prediction request and the length of its JSON. share: ring elements, (B, *row)."""
    tensor = share.astype(RING, copy=False).tobytes()
    head = {
        "id": request_id,
        "inputs": [{"name": "input", "datatype": "UINT64", "shape": list(share.shape), "parameters": {"binary_data_size": len(tensor)}}],
        "outputs": [{"name": "output", "parameters": {"binary_data": True}}],
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    return text + tensor, len(text)


def infer_size(metadata: Metadata, rows: int) -> int:
    """Most bytes that the answer for so many rows has."""
    return rows * int(np.prod(metadata.output_shape)) * RING.itemsize + MAX_JSON


def check(reply: Reply) -> None:
    """Raises what an error reply says: PlayerError, NotReady, ModelNotFound."""
    if reply.status == HTTPStatus.OK:
        return
    try:
        said = json.loads(reply.body)
        message, code, retryable = str(said["error"]), str(said["code"]), bool(said["retryable"])
    except (ValueError, KeyError, TypeError):
        message, code, retryable = f"HTTP status {reply.status} without an explanation", "unknown", reply.status in _TRANSIENT
    if code == "not_found":
        raise ModelNotFound(f"{reply.role}: {message}")
    kind = NotReady if code == "not_ready" else PlayerError
    raise kind(message, role=reply.role, code=code, status=reply.status, retryable=retryable, retry_after=reply.retry_after)


def parse_metadata(reply: Reply) -> Metadata:
    """One player's metadata. Raises what `check` raises, and ProtocolError."""
    check(reply)
    try:
        said = json.loads(reply.body)
        parameters = said["parameters"]
        (taken,), (given,) = said["inputs"], said["outputs"]
        if parameters["role"] != reply.role:
            raise ProtocolError(f"{reply.role} says it is {parameters['role']}; the endpoints in the client config are mixed up")
        metadata = Metadata(
            model=str(said["name"]),
            protocol=str(parameters["protocol"]),
            digest=str(parameters["digest"]),
            generation=str(parameters["generation"]),
            input_shape=_row(taken),
            output_shape=_row(given),
            fraction_bits=int(parameters["fraction_bits"]),
            input_bound=int(parameters["input_bound"]),
            max_rows=int(parameters["max_rows"]),
        )
    except (ValueError, KeyError, TypeError) as e:
        raise ProtocolError(f"{reply.role}'s metadata is not what docs/wire.md says ({e!r}); client and player are of different versions") from e
    if metadata.protocol not in PROTOCOLS:
        raise ProtocolError(f"{reply.role} speaks {metadata.protocol!r}, this client {', '.join(PROTOCOLS)}; update the client")
    if not (0 < metadata.fraction_bits < 64 and 0 <= metadata.input_bound < 1 << 62 and metadata.max_rows > 0):  # noqa: PLR2004 - the ring's size
        raise ProtocolError(f"{reply.role}'s metadata has fraction_bits {metadata.fraction_bits}, input_bound {metadata.input_bound}, max_rows {metadata.max_rows}")
    return metadata


def agree_on_metadata(alice: Metadata, bob: Metadata) -> Metadata:
    """The metadata of the model, if the two players say the same; else Disagreement names the field. max_rows is the smaller one."""
    rows = min(alice.max_rows, bob.max_rows)
    alice, bob = replace(alice, max_rows=rows), replace(bob, max_rows=rows)
    _same("metadata", alice, bob, tuple(Metadata.__dataclass_fields__))
    return alice


def parse_output(reply: Reply, request_id: str, metadata: Metadata, rows: int) -> OutputShare:
    """One player's output share. Raises what `check` raises, and ProtocolError."""
    check(reply)
    length = reply.json_length
    shape = (rows, *metadata.output_shape)
    try:
        if length is None or not 0 < length <= len(reply.body):
            raise ValueError(f"{JSON_LENGTH} is {length}")
        said = json.loads(reply.body[:length])
        (output,), parameters = said["outputs"], said["parameters"]
        tensor = np.frombuffer(reply.body[length:], dtype=RING)
        if (output["name"], output["datatype"], tuple(output["shape"])) != ("output", "UINT64", shape):
            raise ValueError(f"the output is {output}, expected UINT64 {shape}")
        share = OutputShare(
            role=reply.role,
            id=str(said["id"]),
            generation=str(said["model_version"]),
            digest=str(parameters["digest"]),
            epoch=str(parameters["epoch"]),
            batch=int(parameters["batch"]),
            hops=int(parameters["hops"]),
            tensor=tensor.reshape(shape),
        )
    except (ValueError, KeyError, TypeError) as e:
        raise ProtocolError(f"{reply.role}'s answer is not what docs/wire.md says ({e}); client and player are of different versions") from e
    if share.id != request_id:
        raise Disagreement(f"{share.role} answered request {share.id}, asked was {request_id}; nothing was put together")
    return share


def agree_on_output(alice: OutputShare, bob: OutputShare) -> None:
    """Passes only shares that belong together: id, generation, digest, epoch and batch agree; else Disagreement names the field."""
    _same("answers", alice, bob, ("id", "generation", "digest", "epoch", "batch"))


def _same(what: str, alice: object, bob: object, fields: tuple[str, ...]) -> None:
    for field in fields:
        ours, theirs = getattr(alice, field), getattr(bob, field)
        if ours != theirs:
            raise Disagreement(f"the {what} of alice and bob differ in {field}: {ours} and {theirs}; nothing was put together")


def _row(tensor: Mapping[str, Any]) -> tuple[int, ...]:
    shape = tuple(int(d) for d in tensor["shape"])
    if tensor["datatype"] != "UINT64" or not shape or shape[0] != -1 or min(shape[1:], default=1) < 1:
        raise ValueError(f"{tensor['datatype']} {list(shape)}")
    return shape[1:]
