"""Where artifacts come from, one file for each URI scheme.

A new scheme is a file in this folder with a function under `@fetches`; nothing has to name it.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil

from securemodel_share.errors import Reason, ShareError

from .base import FETCHERS, Source

for _scheme in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_scheme.name}")

__all__ = ["Source", "check_sha256", "fetch"]


def fetch(uri: str, source: Source) -> bytes:
    """The artifact's bytes.

    Raises:
        ShareError: ArtifactNotFound, or FetchFailed (retryable where the network or the server
            may recover).
    """
    scheme = uri.split("://", maxsplit=1)[0] if "://" in uri else ""
    if scheme not in FETCHERS:
        raise ShareError(
            Reason.FETCH_FAILED,
            f"{scheme}:// is not supported; use https:// or configmap://name/key",
        )
    return FETCHERS[scheme](uri, source)


def check_sha256(data: bytes, expected: str, field: str = Source.field) -> None:
    """Raises HashMismatch unless `data` has this SHA-256 (hex, any case), which `field` of the spec
    asks for.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != expected.lower():
        message = (
            f"the artifact has SHA-256 {found}, {field}.sha256 is {expected.lower()}; "
            "check which file was stored, then correct one of the two"
        )
        raise ShareError(Reason.HASH_MISMATCH, message)
