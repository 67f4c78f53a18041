"""Handing players their shares: to the right ones alone, with bounded patience."""

from __future__ import annotations

import json
import ssl
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from ports import held_port
from securemodel_share.deliver import Identity, Player, deliver, load_cluster
from tls_server import Answer, TlsServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROLES = ("alice", "bob", "carol")
FILES = {role: f"shares of {role}".encode() for role in ROLES}
SHARES = "/v1/shares"


def player(role: str, port: int) -> Player:
    return Player(role, f"{role}-player", "localhost", port)


def quiet(_: str) -> None:
    pass


@pytest.fixture
def servers(tls: Path) -> Iterator[dict[str, TlsServer]]:
    with ExitStack() as stack:
        yield {
            role: stack.enter_context(TlsServer(tls / role, {SHARES: Answer(200, b"{}")}))
            for role in ROLES
        }


def test_each_player_gets_its_own_file(servers: dict[str, TlsServer], tls: Path) -> None:
    said: list[str] = []
    deliver(
        FILES,
        [player(role, servers[role].port) for role in ROLES],
        Identity(tls / "share"),
        said.append,
    )
    for role in ROLES:
        assert [(r.method, r.path, r.body) for r in servers[role].requests] == [
            ("PUT", SHARES, FILES[role])
        ]
    assert [line.split()[1] for line in said] == [f"{role}-player" for role in ROLES]


def test_another_role_gets_nothing(
    servers: dict[str, TlsServer], tls: Path, refused: Callable[..., None]
) -> None:
    wrong = [player("alice", servers["bob"].port)]
    says = (
        "alice-player",
        "securemodel://default/digits/bob, not securemodel://default/digits/alice",
        "nothing was sent",
    )
    refused(lambda: deliver(FILES, wrong, Identity(tls / "share"), quiet), "SharesRefused", *says)
    assert servers["bob"].requests == []


def test_another_ca_gets_nothing(other_tls: Path, tls: Path, refused: Callable[..., None]) -> None:
    with TlsServer(other_tls / "alice", {SHARES: Answer(200)}) as impostor:
        to = [player("alice", impostor.port)]
        refused(
            lambda: deliver(FILES, to, Identity(tls / "share"), quiet),
            "PlayersUnreachable",
            "alice-player",
            "not trusted",
            retryable=True,
        )
        assert impostor.requests == []


def test_another_model_of_the_same_ca_gets_nothing(
    servers: dict[str, TlsServer], tls: Path, refused: Callable[..., None]
) -> None:
    identity = Identity(tls / "share")
    identity.uri = "securemodel://default/letters/share"
    refused(
        lambda: deliver(FILES, [player("alice", servers["alice"].port)], identity, quiet),
        "SharesRefused",
        "not securemodel://default/letters/alice",
    )
    assert servers["alice"].requests == []


def test_tls_1_2_is_refused(
    servers: dict[str, TlsServer], tls: Path, refused: Callable[..., None]
) -> None:
    servers["alice"].context.maximum_version = ssl.TLSVersion.TLSv1_2
    to = [player("alice", servers["alice"].port)]
    refused(
        lambda: deliver(FILES, to, Identity(tls / "share"), quiet, wait_s=0.1),
        "PlayersUnreachable",
        "alice-player",
        retryable=True,
    )


def test_a_player_that_is_late_is_waited_for(tls: Path) -> None:
    port = held_port()
    said: list[str] = []
    waiting = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        waiting.set()

    thread = threading.Thread(
        target=deliver, args=(FILES, [player("alice", port)], Identity(tls / "share"), say, 20)
    )
    thread.start()
    assert waiting.wait(10)
    with TlsServer(tls / "alice", {SHARES: Answer(200, b"{}")}, port) as server:
        thread.join(20)
    assert said[0] == f"waiting for player alice-player at localhost:{port} ..."
    assert [r.body for r in server.requests] == [FILES["alice"]]


def test_patience_ends_and_names_the_player(tls: Path, refused: Callable[..., None]) -> None:
    port = held_port()
    refused(
        lambda: deliver(FILES, [player("bob", port)], Identity(tls / "share"), quiet, wait_s=0.6),
        "PlayersUnreachable",
        "bob-player",
        str(port),
        retryable=True,
    )


def test_a_refusal_is_passed_on(tls: Path, refused: Callable[..., None]) -> None:
    answer = Answer(
        422,
        json.dumps(
            {"error": "the file is for bob", "code": "bad_shares", "retryable": False}
        ).encode(),
    )
    with TlsServer(tls / "alice", {SHARES: answer}) as server:
        refused(
            lambda: deliver(FILES, [player("alice", server.port)], Identity(tls / "share"), quiet),
            "SharesRefused",
            "alice-player",
            "the file is for bob",
        )
    with TlsServer(tls / "alice", {SHARES: Answer(500, b"not JSON")}) as server:
        to = [player("alice", server.port)]
        refused(
            lambda: deliver(FILES, to, Identity(tls / "share"), quiet),
            "SharesRefused",
            "HTTP 500",
            retryable=True,
        )


def test_a_cluster_config_is_read_in_the_order_of_roles(
    tmp_path: Path, refused: Callable[..., None]
) -> None:
    path = tmp_path / "cluster.json"
    path.write_text('{"zoe": "z.svc:8443", "yan": "y.svc:8443", "xia": "x.svc:1"}')
    assert load_cluster(path) == [
        Player("alice", "zoe", "z.svc", 8443),
        Player("bob", "yan", "y.svc", 8443),
        Player("carol", "xia", "x.svc", 1),
    ]
    for wrong in ("[]", "{", '{"alice": "a:1"}', '{"a": "a", "b": "b", "c": "c"}'):
        path.write_text(wrong)
        refused(lambda: load_cluster(path), "InternalError", "cluster.json", "docs/wire.md")


def test_a_folder_without_certificates_is_named(
    tmp_path: Path, refused: Callable[..., None]
) -> None:
    refused(lambda: Identity(tmp_path), "InternalError", str(tmp_path), "tls.key")
