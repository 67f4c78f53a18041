"""What a prediction can end in besides a result."""

from __future__ import annotations


class SecureModelError(Exception):
    """Base of all errors of this package. The message says what is wrong and what to do."""


class InputError(SecureModelError, ValueError):
    """The input was refused here, before anything was sent."""


class ModelNotFoundError(SecureModelError):
    """There is no such SecureModel, or it has no client configuration yet."""


class PlayerError(SecureModelError):
    """A player refused a request.

    `code` is stable (docs/wire.md); `retryable` says whether fresh shares may succeed.
    """

    def __init__(self, player: str, code: str, message: str, *, retryable: bool) -> None:
        super().__init__(f"{player}: {message} ({code})")
        self.player = player
        self.code = code
        self.retryable = retryable


class UnreachableError(SecureModelError):
    """A player did not answer, or the connection broke. Tried again until the timeout."""


class UntrustedAnswerError(SecureModelError):
    """The certificate, program, generation or epoch is not the one that the client expects.

    No result was reconstructed.
    """
