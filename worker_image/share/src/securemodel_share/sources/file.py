"""Plain paths: files that are mounted into the share step."""

from __future__ import annotations

from pathlib import Path

from securemodel_share.errors import Reason, ShareError

from .base import MAX_BYTES, Source, fetches, too_large


@fetches("")
def read_file(uri: str, source: Source) -> bytes:
    """The file's bytes. Raises ArtifactNotFound, or FetchFailed if it is too large."""
    path = Path(uri)
    if not path.is_file():
        raise ShareError(
            Reason.ARTIFACT_NOT_FOUND,
            f"there is no file {uri}; check name and key in {source.field}.uri, and that the "
            "ConfigMap has that key",
        )
    if path.stat().st_size > MAX_BYTES:
        raise too_large(uri)
    return path.read_bytes()
