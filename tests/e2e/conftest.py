from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

import cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session", autouse=True)
def _test_cluster() -> None:
    cluster.guard()


def new_namespace() -> str:
    name = f"test-{secrets.token_hex(3)}"
    cluster.kubectl("create", "namespace", name)
    return name


@pytest.fixture
def namespace() -> Iterator[str]:
    """One namespace a test."""
    name = new_namespace()
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """A namespace where the example SecureModel is Ready, for the tests of one module."""
    name = new_namespace()
    cluster.apply(list(cluster.sample()), name)
    cluster.wait_ready("digits", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
