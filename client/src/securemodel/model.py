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

from . import functions
from .errors import (
    InputError,
    PlayerError,
    SecureModelError,
    UnreachableError,
    UntrustedAnswerError,
)
from .metadata import ANSWER_S, FOLLOWS_MAX_ROWS, read
from .player import Answer, Endpoint, Player
from .sharing import FRACTION_BITS, Ring, decode, encode, reconstruct, split

DATA_ROLES = ("alice", "bob")
TIMEOUT_S = 30.0
SHORTEST_TRY_S = 1.0
# of a try, beside the time within which a player answers: for the connection, the body, the answer
TRANSFER_S = 10.0
TRIES = 2  # that the model's own timeout has room for
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

        Keys: `row_shape`, `output_shape`, `input_bound`, `input_low`, `input_high` (ring units),
        `functions` (the last ones, which `predict` applies; docs/program.md), `labels` (names of
        the output's last axis, if its owner gave any), `digest`, `max_rows`, `answer_seconds`
        (within which a player answers), `protocol`, `fraction_bits`.

        Raises:
            PlayerError: the players still disagree at the timeout.
            UntrustedAnswerError: the program is not the expected one, or an answer is unreadable.
        """
        if self._metadata is None:
            self._metadata = self._retried(self._ask_metadata, time.monotonic() + timeout)
        return self._metadata

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the output's last axis, in order; none if the model's owner gave none."""
        labels: tuple[str, ...] = self.metadata()["labels"]
        return labels

    def classes(self, prediction: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
        """The label of the largest value along the last axis.

        Args:
            prediction: (B, ...output), as `predict` gives it.

        Returns:
            (B, ...output without its last axis) strings.

        Raises:
            InputError: the model has no labels, or not as many as the last axis has values.
        """
        names = np.array(self.labels)
        if prediction.shape[-1] != len(names):
            raise InputError(
                f"the model has {len(names)} labels, the prediction's last axis has "
                f"{prediction.shape[-1]} values; spec.model.labels names each of the output's"
            )
        found: npt.NDArray[np.str_] = names[prediction.argmax(-1)]
        return found

    def predict(
        self,
        array: npt.ArrayLike,
        timeout: float | None = None,
        progress: Progress | None = None,
        *,
        raw: bool = False,
    ) -> npt.NDArray[np.float64]:
        """Private predictions.

        Args:
            array: numbers, (B, ...row); more rows than a batch are sent in several.
            timeout: seconds for each batch, retries included; by default what this model's
                batches may take, twice.
            progress: called with the number of rows done and of all rows.
            raw: without the model's last functions (softmax and the like): its logits.

        Returns:
            (B, ...output), float64.

        Raises:
            InputError: refused before anything was sent.
            PlayerError: a player refused for good, or still refuses at the timeout.
            UnreachableError: a player does not answer.
            UntrustedAnswerError: the players' answers do not belong together, or the model's last
                function is one that this client does not know.
        """
        metadata = self.metadata(TIMEOUT_S if timeout is None else timeout)
        applied = [] if raw else metadata["functions"]
        functions.check(applied, metadata["output_shape"])
        secret = encode(array, metadata["row_shape"], metadata["input_low"], metadata["input_high"])
        return functions.apply(applied, self._predict_secret(secret, timeout, progress))

    def _predict_secret(
        self, secret: Ring, timeout: float | None, progress: Progress | None
    ) -> npt.NDArray[np.float64]:
        """The players' output for all rows, (B, ...output)."""
        results: list[npt.NDArray[np.float64]] = []
        done = 0
        while done < len(secret):
            metadata = self.metadata()
            rows = secret[done : done + metadata["max_rows"]]
            seconds = self._patience() if timeout is None else timeout
            try:
                results.append(
                    self._retried(functools.partial(self._ask, rows), time.monotonic() + seconds)
                )
            except PlayerError as error:
                if error.code not in TOO_MANY_ROWS or not self._takes_fewer_rows(seconds):
                    raise
                continue
            done += len(rows)
            if progress:
                progress(done, len(secret))
        return np.concatenate(results)

    def _longest_try(self) -> float:
        """Seconds that a try takes at most, also before the players have said how long."""
        answers: float = (self._metadata or {}).get("answer_seconds", ANSWER_S)
        return answers + TRANSFER_S

    def _patience(self) -> float:
        """Seconds for a batch and its retries, if the caller does not say."""
        return TRIES * self._longest_try()

    def _takes_fewer_rows(self, timeout: float) -> bool:
        """Whether the players take fewer rows a batch than before, and nothing else has changed.

        If so (spec.serving.batching was changed), later batches are that much smaller.
        """
        before, now = (
            self.metadata(timeout),
            self._retried(self._ask_metadata, time.monotonic() + timeout),
        )
        same = all(now[key] == before[key] for key in before if key not in FOLLOWS_MAX_ROWS)
        if now["max_rows"] >= before["max_rows"] or not same:
            return False
        self._metadata = now
        return True

    def _ask_metadata(self) -> dict[str, Any]:
        answers = self._both(lambda player: player.metadata(self.model))
        views = [read(answer) for answer in answers]
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
                player.timeout = min(
                    self._longest_try(), max(SHORTEST_TRY_S, end - time.monotonic())
                )
            try:
                return attempt()
            except (PlayerError, UnreachableError) as error:
                if self._is_final(error) or time.monotonic() + backoff > end:
                    raise
            time.sleep(backoff)
            backoff = min(2 * backoff, LAST_BACKOFF_S)
