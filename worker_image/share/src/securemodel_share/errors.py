"""What can go wrong in the share step: a reason, a message with the next step, and whether trying
again can help.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Reason(StrEnum):
    """Machine-readable reasons; the operator copies them into the condition ModelShared."""

    ARTIFACT_NOT_FOUND = "ArtifactNotFound"
    FETCH_FAILED = "FetchFailed"
    HASH_MISMATCH = "HashMismatch"
    INVALID_MODEL = "InvalidModel"
    UNSUPPORTED_LAYER = "UnsupportedLayer"
    WEIGHTS_OUT_OF_RANGE = "WeightsOutOfRange"
    RANGE_OVERFLOW = "RangeOverflow"
    PRECISION_LOST = "PrecisionLost"
    PLAYERS_UNREACHABLE = "PlayersUnreachable"
    SHARES_REFUSED = "SharesRefused"
    INTERNAL_ERROR = "InternalError"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing for which a model cannot be served. `layer`: its name, "" for the whole model."""

    reason: Reason
    layer: str = ""
    problem: str
    advice: str = ""

    @property
    def message(self) -> str:
        """The problem, and what to do about it."""
        return f"{self.problem}; {self.advice}" if self.advice else self.problem


class ShareError(Exception):
    """A failure that its reader can act on. The message never holds weights or secrets.
    `findings`: all that is known to be wrong, the first of which is the message.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        retryable: bool = False,
        findings: Sequence[Finding] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retryable = retryable
        self.findings = tuple(findings) or (Finding(reason=reason, problem=message),)


def refusal(findings: Sequence[Finding]) -> ShareError:
    """One error for findings: that of the first, which says how many more there are."""
    first, *more = findings
    others = f"; {len(more)} more in the share Job's log" if more else ""
    return ShareError(first.reason, first.message + others, findings=findings)
