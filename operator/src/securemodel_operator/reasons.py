"""Every condition type and reason; docs/operations.md explains them."""

from __future__ import annotations

from enum import StrEnum


class Condition(StrEnum):
    ACCEPTED = "Accepted"
    PLAYERS_READY = "PlayersReady"
    MODEL_SHARED = "ModelShared"
    SERVING = "Serving"
    READY = "Ready"


class Reason(StrEnum):
    ACCEPTED = "Accepted"
    INVALID_SPEC = "InvalidSpec"
    NAME_CONFLICT = "NameConflict"
    PREVIOUS_STILL_DELETING = "PreviousStillDeleting"

    PLAYERS_READY = "PlayersReady"
    PLAYERS_STARTING = "PlayersStarting"
    APPLY_FAILED = "ApplyFailed"

    SHARED = "Shared"
    SHARING = "Sharing"
    ARTIFACT_NOT_FOUND = "ArtifactNotFound"
    REFERENCE_NOT_FOUND = "ReferenceNotFound"
    FETCH_FAILED = "FetchFailed"
    HASH_MISMATCH = "HashMismatch"
    INVALID_MODEL = "InvalidModel"
    UNSUPPORTED_LAYER = "UnsupportedLayer"
    WEIGHTS_OUT_OF_RANGE = "WeightsOutOfRange"
    RANGE_OVERFLOW = "RangeOverflow"
    PLAYERS_UNREACHABLE = "PlayersUnreachable"
    SHARES_REFUSED = "SharesRefused"
    INTERNAL_ERROR = "InternalError"
    SHARE_JOB_FAILED = "ShareJobFailed"

    SERVING = "Serving"
    NOT_REACHABLE = "PlayersNotReachable"
    NO_SHARES = "NoShares"
    PEERS_MISSING = "PeersMissing"
    GENERATION_MISMATCH = "GenerationMismatch"
    DIGEST_MISMATCH = "DigestMismatch"
    PROTOCOL_MISMATCH = "ProtocolMismatch"

    READY = "Ready"


def from_share_step(text: object) -> Reason:
    """The reason in a termination message; one that this release does not know is a failed Job."""
    try:
        return Reason(str(text))
    except ValueError:
        return Reason.SHARE_JOB_FAILED


def from_player(text: object) -> Reason:
    """The reason in a player's /status."""
    try:
        return Reason(str(text))
    except ValueError:
        return Reason.NOT_REACHABLE
