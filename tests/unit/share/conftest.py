from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from securemodel_operator import pki
from securemodel_share.errors import ShareError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of the SecureModel default/digits: folders alice, bob, carol and share."""
    folder = tmp_path_factory.mktemp("tls")
    pki.main(["--out", str(folder), "--namespace", "default", "--model", "digits"])
    return folder


@pytest.fixture(scope="session")
def other_tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same names from another CA."""
    folder = tmp_path_factory.mktemp("other-tls")
    pki.main(["--out", str(folder), "--namespace", "default", "--model", "digits"])
    return folder


@pytest.fixture
def refused() -> Callable[..., None]:
    """Asserts that a call is refused with this reason, and that the message says these things."""

    def check(call: Callable[[], object], reason: str, *says: str, retryable: bool = False) -> None:
        with pytest.raises(ShareError) as caught:
            call()
        error = caught.value
        assert (str(error.reason), error.retryable) == (reason, retryable), error.message
        for text in says:
            assert text in error.message, error.message

    return check


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No option comes from the environment."""
    for name in [n for n in os.environ if n.startswith("SECUREMODEL_")]:
        monkeypatch.delenv(name)
