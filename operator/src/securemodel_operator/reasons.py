"""Every condition type and every reason, one row for each.

Players and the share step say reasons of their own (their words stand here too); docs/operations.md
explains all of them to users.
"""

from __future__ import annotations

import re
from enum import StrEnum, unique
from typing import NewType, Self


class Condition(StrEnum):
    ACCEPTED = "Accepted"
    PLAYERS_READY = "PlayersReady"
    MODEL_SHARED = "ModelShared"
    SERVING = "Serving"
    READY = "Ready"


# a reason that has no row here
Unknown = NewType("Unknown", str)


class Outlook(StrEnum):
    """What a reason means for what comes next."""

    GOOD = "good"  # the condition holds
    PROGRESS = "progress"  # something is under way: looked at every second, no warning
    TROUBLE = "trouble"  # someone has to act, or it heals by a later try
    FINAL = "final"  # a further try would end alike, so there is none


SPEC, PLAYERS, MODEL, SERVICE, WHOLE = Condition
GOOD, PROGRESS, TROUBLE, FINAL = Outlook


@unique
class Reason(StrEnum):
    """A row: the word, the condition that it is said of, the outlook and the meaning."""

    condition: Condition
    outlook: Outlook
    meaning: str

    def __new__(cls, word: str, condition: Condition, outlook: Outlook, meaning: str) -> Self:
        reason = str.__new__(cls, word)
        reason._value_ = word
        reason.condition, reason.outlook, reason.meaning = condition, outlook, meaning
        return reason

    # fmt: off
    ACCEPTED = "Accepted", SPEC, GOOD, "the spec is valid"
    INVALID_SPEC = "InvalidSpec", SPEC, TROUBLE, "an old CRD let something through"
    NAME_CONFLICT = "NameConflict", SPEC, TROUBLE, "an object that is not ours has a name of ours"
    PREVIOUS_STILL_DELETING = "PreviousStillDeleting", SPEC, PROGRESS, "a namesake is being deleted"

    PLAYERS_READY = "PlayersReady", PLAYERS, GOOD, "all three players are running"
    PLAYERS_STARTING = "PlayersStarting", PLAYERS, PROGRESS, "a pod waits for image, volume or node"
    APPLY_FAILED = "ApplyFailed", PLAYERS, TROUBLE, "the API server refuses an object of this model"

    SHARED = "Shared", MODEL, GOOD, "all three players hold shares of one program"
    SHARING = "Sharing", MODEL, PROGRESS, "the share Job is at work"
    ARTIFACT_NOT_FOUND = "ArtifactNotFound", MODEL, TROUBLE, "there is no ConfigMap, key or file"
    REFERENCE_NOT_FOUND = "ReferenceNotFound", MODEL, TROUBLE, "no CA bundle or credentials"
    FETCH_FAILED = "FetchFailed", MODEL, TROUBLE, "the artifact cannot be fetched"
    HASH_MISMATCH = "HashMismatch", MODEL, FINAL, "the artifact is not the one that sha256 names"
    INVALID_MODEL = "InvalidModel", MODEL, FINAL, "the artifact is damaged, or no model file"
    UNSUPPORTED_LAYER = "UnsupportedLayer", MODEL, FINAL, "a layer is not supported"
    WEIGHTS_OUT_OF_RANGE = "WeightsOutOfRange", MODEL, FINAL, "a weight is too large, or no number"
    RANGE_OVERFLOW = "RangeOverflow", MODEL, FINAL, "a value of a layer could leave the range"
    PRECISION_LOST = "PrecisionLost", MODEL, FINAL, "the fixed point changes outputs too much"
    PLAYERS_UNREACHABLE = "PlayersUnreachable", MODEL, TROUBLE, "a player did not take its shares"
    SHARES_REFUSED = "SharesRefused", MODEL, TROUBLE, "a player refused its shares"
    INTERNAL_ERROR = "InternalError", MODEL, TROUBLE, "the share step has a fault"
    SHARE_JOB_FAILED = "ShareJobFailed", MODEL, TROUBLE, "the share Job ended without a result"

    SERVING = "Serving", SERVICE, GOOD, "the players are linked and hold the same shares"
    NOT_REACHABLE = "PlayersNotReachable", SERVICE, PROGRESS, "a health port does not answer"
    NO_SHARES = "NoShares", SERVICE, PROGRESS, "a player has no shares yet"
    SHARES_UNREADABLE = "SharesUnreadable", SERVICE, PROGRESS, "a player's share file is damaged"
    PEERS_MISSING = "PeersMissing", SERVICE, PROGRESS, "a player has no link to a peer yet"
    GENERATION_MISMATCH = "GenerationMismatch", SERVICE, TROUBLE, "players hold two deliveries"
    DIGEST_MISMATCH = "DigestMismatch", SERVICE, TROUBLE, "players hold two programs"
    PROTOCOL_MISMATCH = "ProtocolMismatch", SERVICE, TROUBLE, "players hold two protocols"

    READY = "Ready", WHOLE, GOOD, "private predictions are answered"
    # fmt: on


BY_WORD = {reason.value: reason for reason in Reason}
# what Kubernetes takes for a reason, and what fits a line
WORD = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")


def under_way(word: str) -> bool:
    """Whether the reason says that something is under way; nobody knows that of an unknown one."""
    return word in BY_WORD and BY_WORD[word].outlook is PROGRESS


def final(word: str) -> bool:
    """Whether a further try would end alike."""
    return word in BY_WORD and BY_WORD[word].outlook is FINAL


def reported(
    word: object, message: str, *, image: str, otherwise: Reason
) -> tuple[Reason | Unknown, str]:
    """The reason and message to show for what a player or the share Job said.

    A word that has no row here comes from an image of another version: it is shown as it was said.
    `otherwise` is shown for what is no word at all.
    """
    said = str(word)
    if word is None or said in BY_WORD:
        return BY_WORD.get(said, otherwise), message

    shown = Unknown(said) if WORD.fullmatch(said) else otherwise
    unknown = f"this operator does not know the reason {said[:64]}"
    return shown, f"{message} ({unknown}: the {image} image is of another version)"
