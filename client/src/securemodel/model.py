"""A SecureModel as its client sees it: float array in, float array out."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Self

import numpy as np

from . import fixedpoint, wire
from .channel import Channel, Endpoint, Pair, parse_url, tls_context
from .errors import ConfigError, DigestMismatch, SecureModelError
from .retry import retrying

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from .wire import Metadata

TIMEOUT = 30.0
_MAX_METADATA = 1 << 20


class Model:
    """Private predictions of one SecureModel.

    The input is split into two random-looking shares on this machine; alice gets one, bob the other, and only here the two answers are put together. `securemodel.connect` finds
    the players in a cluster; this constructor takes them as they are given. May be used by several threads at once, and as a context manager.
    """

    def __init__(
        self,
        *,
        endpoints: Mapping[str, str | Endpoint],
        ca: str | Path,
        model: str,
        namespace: str = "default",
        digest: str | None = None,
    ) -> None:
        """endpoints: of alice and bob, by role: https://host:port. ca: path of the model's CA certificate, or its PEM text. digest: of the program to insist on, hex, or None.

        Sends nothing yet. Raises ConfigError.
        """
        if set(endpoints) != set(wire.ROLES):
            raise ConfigError(f"endpoints are given for {', '.join(sorted(endpoints)) or 'nobody'}; give one for alice and one for bob")
        self.name = model
        self.namespace = namespace
        self.digest = digest
        self._endpoints = {role: parse_url(role, at) if isinstance(at, str) else at for role, at in endpoints.items()}
        self._context = tls_context(ca)
        self._lock = threading.Lock()
        self._idle: list[Pair] = []
        self._metadata: Metadata | None = None
        self._closed = False

    @property
    def metadata(self) -> Metadata:
        """Shapes, bound, protocol, digest: asked of both players once, who have to agree. Raises SecureModelError (ModelNotFound, NotReady, Unreachable, ...)."""
        if self._metadata is None:
            self._metadata = self.fetch_metadata()
        return self._metadata

    def fetch_metadata(self, timeout: float = TIMEOUT) -> Metadata:
        """Asks both players anew; `timeout` in seconds, retries included."""
        return retrying(timeout, self._fetch_metadata)

    def predict(self, array: object, *, timeout: float = TIMEOUT, progress: Callable[[int, int], None] | None = None) -> NDArray[np.float64]:
        """Private prediction.

        array: floats or integers, shape (B, *metadata.input_shape), B >= 1, every value within the model's input bound. Larger batches than the players take are cut into several
        requests. timeout: seconds that each request may take, retries included. progress: called with (rows done, rows in all) after each request.

        Returns float64, shape (B, *metadata.output_shape). The difference to the plaintext model is that of fixed point with 16 fraction bits.

        Raises InputError before anything of the input is sent; ModelNotFound, NotReady, Unreachable, IdentityError, PlayerError and the other SecureModelError when there is no
        answer. A failed attempt that can be repeated is repeated with fresh shares under a fresh id.
        """
        metadata = self.metadata
        ring = fixedpoint.encode(array, metadata.input_shape, metadata.fraction_bits, metadata.input_bound)
        parts = []
        for at in range(0, len(ring), metadata.max_rows):
            rows = ring[at : at + metadata.max_rows]
            parts.append(retrying(timeout, lambda deadline, rows=rows: self._ask(rows, metadata, deadline)))  # type: ignore[misc]
            if progress is not None:
                progress(at + len(rows), len(ring))
        return np.concatenate(parts)

    def close(self) -> None:
        """Closes the connections; the model cannot be asked any more."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for pair in idle:
            pair.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<securemodel.Model {self.namespace}/{self.name}>"

    def _fetch_metadata(self, deadline: float) -> Metadata:
        pair = self._take()
        alice, bob = pair.ask("GET", wire.model_path(self.name), limit=_MAX_METADATA, deadline=deadline)
        self._give_back(pair)
        metadata = wire.agree_on_metadata(wire.parse_metadata(alice), wire.parse_metadata(bob))
        if self.digest is not None and metadata.digest != self.digest:
            raise DigestMismatch(
                f"the players serve program {metadata.digest}, the client config expects {self.digest}; read the client config again, or ask the model's owner"
            )
        return metadata

    def _ask(self, ring: fixedpoint.Ring, metadata: Metadata, deadline: float) -> NDArray[np.float64]:
        """One attempt: fresh shares, a fresh id."""
        request_id = secrets.token_hex(16)
        (alice, length), (bob, _) = (wire.infer_body(request_id, share) for share in fixedpoint.split(ring))
        pair = self._take()
        replies = pair.ask(
            "POST",
            wire.model_path(self.name, "/infer"),
            (alice, bob),
            headers={"Content-Type": "application/octet-stream", wire.JSON_LENGTH: str(length)},
            limit=wire.infer_size(metadata, len(ring)),
            deadline=deadline,
        )
        self._give_back(pair)
        a, b = (wire.parse_output(reply, request_id, metadata, len(ring)) for reply in replies)
        wire.agree_on_output(a, b)
        if a.digest != metadata.digest:
            self._metadata = None
            raise DigestMismatch(f"the players changed to program {a.digest} meanwhile, asked was {metadata.digest}; nothing was put together, ask again")
        return fixedpoint.decode(a.tensor, b.tensor, metadata.fraction_bits)

    def _take(self) -> Pair:
        with self._lock:
            if self._closed:
                raise SecureModelError(f"{self!r} is closed; connect again")
            if self._idle:
                return self._idle.pop()
        alice, bob = (
            Channel(role, self._endpoints[role], self._context, wire.identity(self.namespace, self.name, role)) for role in wire.ROLES
        )
        return Pair(alice, bob)

    def _give_back(self, pair: Pair) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(pair)
                return
        pair.close()
