"""Credentials for sources, from a mounted Secret."""

from __future__ import annotations

import base64
from pathlib import Path

from securemodel_share.errors import Reason, ShareError


def read_authorization(folder: Path) -> str:
    """The Authorization header from a mounted Secret: its key `token`, or `username` and
    `password`.
    """
    if (folder / "token").is_file():
        return "Bearer " + (folder / "token").read_text().strip()
    try:
        user, password = ((folder / name).read_text().strip() for name in ("username", "password"))
    except FileNotFoundError:
        message = (
            "the Secret of spec.model.credentialsSecretRef has neither the key token nor "
            "username and password; add them"
        )
        raise ShareError(Reason.FETCH_FAILED, message) from None
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
