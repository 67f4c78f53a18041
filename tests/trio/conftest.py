from __future__ import annotations

from collections.abc import Iterator

import pytest

from trio import ROOT, Trio

DIGITS = ROOT / "examples/digits/digits.h5"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "trio" in str(item.path.parent.name):
            item.add_marker(pytest.mark.trio)


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    """Three players that serve the example model, for the tests of one module."""
    with Trio(tmp_path_factory.mktemp("trio"), max_rows=64) as running:
        shared = running.share(DIGITS)
        assert shared.returncode == 0, shared.stderr
        running.wait_ready()
        yield running
