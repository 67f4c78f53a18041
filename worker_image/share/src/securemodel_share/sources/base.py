"""What all sources share: how to reach an artifact, its largest size, the table of schemes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from securemodel_share.errors import Reason, ShareError

MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class Source:
    """How to reach an https artifact. `ca_bundle`: trusted instead of the system's CAs.
    `authorization`: the header, sent to the first host alone. `field`: of the spec, for messages;
    it has the uri and the sha256.
    """

    ca_bundle: Path | None = None
    authorization: str | None = None
    allow_loopback: bool = False
    field: str = "spec.model"


Fetcher = Callable[[str, Source], bytes]
FETCHERS: dict[str, Fetcher] = {}


def fetches(scheme: str) -> Callable[[Fetcher], Fetcher]:
    """Makes a function the fetcher of URIs of a scheme ("" for plain paths)."""

    def register(fetcher: Fetcher) -> Fetcher:
        FETCHERS[scheme] = fetcher
        return fetcher

    return register


def too_large(what: str) -> ShareError:
    """The artifact is larger than MAX_BYTES."""
    return ShareError(
        Reason.FETCH_FAILED,
        f"the artifact at {what} is larger than 1 GiB; save the model without optimizer state",
    )
