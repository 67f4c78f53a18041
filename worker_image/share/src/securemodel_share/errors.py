"""What can go wrong in the share step: a reason, a message with the next step, and whether trying
again can help.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Machine-readable reasons; the operator copies them into the condition ModelShared."""

    ARTIFACT_NOT_FOUND = "ArtifactNotFound"
    FETCH_FAILED = "FetchFailed"
    HASH_MISMATCH = "HashMismatch"
    INVALID_MODEL = "InvalidModel"
    UNSUPPORTED_LAYER = "UnsupportedLayer"
    WEIGHTS_OUT_OF_RANGE = "WeightsOutOfRange"
    RANGE_OVERFLOW = "RangeOverflow"
    PLAYERS_UNREACHABLE = "PlayersUnreachable"
    SHARES_REFUSED = "SharesRefused"
    INTERNAL_ERROR = "InternalError"


class ShareError(Exception):
    """A failure that its reader can act on. The message never holds weights or secrets."""

    def __init__(self, reason: Reason, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retryable = retryable
