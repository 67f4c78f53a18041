"""A SecureModel as a function: floats in, floats out; nobody but the caller sees either."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from .errors import PlayerError, SecureModelError, UnreachableError, UntrustedAnswerError
from .player import Answer, Endpoint, Player
from .sharing import FRACTION_BITS, Ring, decode, encode, reconstruct, split

DATA_ROLES = ("alice", "bob")
TIMEOUT_S = 30.0
SHORTEST_TRY_S, LONGEST_TRY_S = 1.0, 20.0
FIRST_BACKOFF_S = 0.1
LAST_BACKOFF_S = 2.0
# what a player answers to more rows than it takes in one request (docs/wire.md)
TOO_MANY_ROWS = ("wrong_shape", "too_large")
Progress = Callable[[int, int], None]
T = TypeVar("T")


class Model:
    """A connection to the two data players of one SecureModel.

    Not safe for several threads at once: open one for each thread.

    Args:
        endpoints: role ("alice", "bob") -> how to reach that player.
        ca: the SecureModel's CA, PEM.
        model, namespace: its name; certificates must be of this model.
        digest: the program that is expected, if known.
    """

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        ca: str,
        model: str,
        namespace: str = "default",
        digest: str | None = None,
    ) -> None:
        if set(endpoints) != set(DATA_ROLES):
            raise SecureModelError(
                f"endpoints are for {', '.join(endpoints)}; alice and bob are needed"
            )

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["http/1.1"])
        context.load_verify_locations(cadata=ca)

        self.model = model
        self.namespace = namespace
        self.digest = digest
        self._players = {
            role: Player(endpoints[role], f"securemodel://{namespace}/{model}/{role}", context)
            for role in DATA_ROLES
        }
        self._pool = ThreadPoolExecutor(len(DATA_ROLES), thread_name_prefix="securemodel")
        self._metadata: dict[str, Any] | None = None
        self.hops = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        for player in self._players.values():
            player.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def metadata(self, timeout: float = TIMEOUT_S) -> dict[str, Any]:
        """What both players say about the model.

        Keys: `row_shape`, `output_shape`, `input_bound` (ring units), `digest`, `max_rows`,
        `protocol`, `fraction_bits`.

        Raises:
            PlayerError: the players still disagree at the timeout.
            UntrustedAnswerError: the program is not the expected one, or an answer is unreadable.
        """
        if self._metadata is None:
            self._metadata = self._retried(self._ask_metadata, time.monotonic() + timeout)
        return self._metadata

    def predict(
        self, array: npt.ArrayLike, timeout: float = TIMEOUT_S, progress: Progress | None = None
    ) -> npt.NDArray[np.float64]:
        """Private predictions.

        Args:
            array: numbers, (B, ...row); more rows than a batch are sent in several.
            timeout: seconds for each batch, retries included.
            progress: called with the number of rows done and of all rows.

        Returns:
            (B, ...output), float64.

        Raises:
            InputError: refused before anything was sent.
            PlayerError: a player refused for good, or still refuses at the timeout.
            UnreachableError: a player does not answer.
            UntrustedAnswerError: the players' answers do not belong together.
        """
        metadata = self.metadata(timeout)
        secret = encode(array, metadata["row_shape"], metadata["input_bound"])

        results: list[npt.NDArray[np.float64]] = []
        done = 0
        while done < len(secret):
            rows = secret[done : done + self.metadata(timeout)["max_rows"]]
            try:
                results.append(
                    self._retried(functools.partial(self._ask, rows), time.monotonic() + timeout)
                )
            except PlayerError as error:
                if error.code not in TOO_MANY_ROWS or not self._takes_fewer_rows(timeout):
                    raise
                continue
            done += len(rows)
            if progress:
                progress(done, len(secret))
        return np.concatenate(results)

    def _takes_fewer_rows(self, timeout: float) -> bool:
        """Whether the players take fewer rows a batch than before, and nothing else has changed.

        If so (spec.serving.batching was changed), later batches are that much smaller.
        """
        before, now = (
            self.metadata(timeout),
            self._retried(self._ask_metadata, time.monotonic() + timeout),
        )
        if (
            now["max_rows"] >= before["max_rows"]
            or now | {"max_rows": before["max_rows"]} != before
        ):
            return False
        self._metadata = now
        return True

    def _ask_metadata(self) -> dict[str, Any]:
        answers = self._both(lambda player: player.metadata(self.model))
        try:
            views = [
                {
                    "row_shape": tuple(a["inputs"][0]["shape"][1:]),
                    "output_shape": tuple(a["outputs"][0]["shape"][1:]),
                    **{
                        k: a["parameters"][k]
                        for k in ("input_bound", "digest", "max_rows", "protocol", "fraction_bits")
                    },
                }
                for a in answers
            ]
        except (KeyError, IndexError, TypeError) as error:
            raise UntrustedAnswerError(
                f"a player's metadata cannot be read ({type(error).__name__}); "
                "is it of another release?"
            ) from error

        if views[0] != views[1]:
            differing = ", ".join(key for key in views[0] if views[0][key] != views[1][key])
            raise PlayerError(
                "alice and bob",
                "not_ready",
                f"they do not agree on {differing}; a share step may be under way",
                retryable=True,
            )
        if views[0]["fraction_bits"] != FRACTION_BITS:
            raise UntrustedAnswerError(
                f"the players use {views[0]['fraction_bits']} fraction bits, "
                f"this client {FRACTION_BITS}; use one release"
            )
        if self.digest and views[0]["digest"] != self.digest:
            raise UntrustedAnswerError(
                f"the players run program {views[0]['digest']}, expected {self.digest}; "
                "nothing was sent"
            )
        return views[0]

    def _ask(self, secret: Ring) -> npt.NDArray[np.float64]:
        """One attempt: fresh shares, a fresh id."""
        shares = dict(zip(DATA_ROLES, split(secret), strict=True))
        request_id = os.urandom(16).hex()
        first, second = self._both(
            lambda player: player.infer(self.model, request_id, shares[player.endpoint.role])
        )
        self._check(first, second, request_id, len(secret))
        self.hops = max(first.hops, second.hops)
        return decode(reconstruct(first.share, second.share))

    def _check(self, first: Answer, second: Answer, request_id: str, rows: int) -> None:
        promised = self.metadata()
        expected = {"id": request_id, "rows": rows, "digest": promised["digest"]}
        for key, value in first.agreement.items():
            if value != second.agreement[key] or value != expected.get(key, value):
                raise UntrustedAnswerError(
                    f"the players' answers do not belong together: {key} differs"
                )
        if (
            first.share.shape != second.share.shape
            or first.share.shape[1:] != promised["output_shape"]
        ):
            raise UntrustedAnswerError(
                "the players' answers have another shape than the model's output"
            )

    def _both(self, ask: Callable[[Player], T]) -> list[T]:
        """Asks both players at the same time, and stops waiting for one once the other failed."""
        futures: dict[str, Future[T]] = {
            role: self._pool.submit(ask, self._players[role]) for role in DATA_ROLES
        }

        done, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
        told = [error for future in done if (error := future.exception()) is not None]
        if told:
            for role, future in futures.items():
                if future not in done:
                    self._interrupt(self._players[role])

        wait(futures.values())
        errors = told or [
            error for future in futures.values() if (error := future.exception()) is not None
        ]
        if errors:
            raise next((error for error in errors if self._is_final(error)), errors[0])
        return [future.result() for future in futures.values()]

    @staticmethod
    def _interrupt(player: Player) -> None:
        connection = player.connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):  # closed already
                connection.sock.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _is_final(error: BaseException | None) -> bool:
        return (
            error is not None
            and not isinstance(error, UnreachableError)
            and not (isinstance(error, PlayerError) and error.retryable)
        )

    def _retried(self, attempt: Callable[[], T], end: float) -> T:
        backoff = FIRST_BACKOFF_S
        while True:
            for player in self._players.values():
                player.timeout = min(LONGEST_TRY_S, max(SHORTEST_TRY_S, end - time.monotonic()))
            try:
                return attempt()
            except (PlayerError, UnreachableError) as error:
                if self._is_final(error) or time.monotonic() + backoff > end:
                    raise
            time.sleep(backoff)
            backoff = min(2 * backoff, LAST_BACKOFF_S)
