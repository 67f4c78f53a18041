"""Getting the artifact from a file or over https."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ports import held_port
from securemodel_share.errors import ShareError
from securemodel_share.sources import Source, check_sha256, fetch, https
from securemodel_share.sources.addresses import check_address
from securemodel_share.sources.credentials import read_authorization
from tls_server import Answer, TlsServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MODEL = b"the artifact" * 1000
METADATA = "https://169.254.169.254/latest/meta-data"
ANSWERS = {
    "/model.h5": Answer(200, MODEL),
    "/model.h5?version=2": Answer(200, b"second"),
    "/moved": Answer(302, headers={"Location": "/model.h5"}),
    "/to-metadata": Answer(302, headers={"Location": METADATA}),
    "/to-http": Answer(301, headers={"Location": "http://localhost/model.h5"}),
    "/to-nonsense": Answer(301, headers={"Location": "https://localhost:nan/model.h5"}),
    "/loop": Answer(307, headers={"Location": "/loop"}),
    "/cut": Answer(200, MODEL, announced=len(MODEL) + 1),
    "/huge": Answer(200, b"", announced=(1 << 30) + 1),
    "/broken": Answer(503),
    "/secret": Answer(403),
}


@pytest.fixture(scope="module")
def server(tls: Path) -> Iterator[TlsServer]:
    with TlsServer(tls / "alice", ANSWERS) as running:
        yield running


@pytest.fixture
def source(tls: Path) -> Source:
    return Source(ca_bundle=tls / "alice" / "ca.crt", allow_loopback=True)


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.h5").write_bytes(MODEL)
    assert fetch(str(tmp_path / "model.h5"), Source()) == MODEL


def test_a_missing_file_is_named(tmp_path: Path, refused: Callable[..., None]) -> None:
    refused(
        lambda: fetch(str(tmp_path / "none.h5"), Source()),
        "ArtifactNotFound",
        "none.h5",
        "spec.model.uri",
    )


def test_other_schemes_are_refused(refused: Callable[..., None]) -> None:
    refused(lambda: fetch("s3://bucket/model.h5", Source()), "FetchFailed", "s3://", "use https://")
    refused(
        lambda: fetch("http://host/model.h5", Source()), "FetchFailed", "http://", "use https://"
    )


def test_an_artifact_comes_over_https(server: TlsServer, source: Source) -> None:
    assert fetch(server.url("/model.h5"), source) == MODEL
    assert fetch(server.url("/model.h5?version=2"), source) == b"second"


def test_a_redirect_is_followed(server: TlsServer, source: Source) -> None:
    assert fetch(server.url("/moved"), source) == MODEL


REFUSALS = {
    "/none.h5": ("ArtifactNotFound", "/none.h5 answers HTTP 404; upload the artifact", False),
    "/secret": ("FetchFailed", "HTTP 403; check the Secret", False),
    "/broken": ("FetchFailed", "HTTP 503", True),
    "/to-metadata": ("FetchFailed", "169.254.169.254", False),
    "/to-http": ("FetchFailed", "only https:// is followed", False),
    "/to-nonsense": ("FetchFailed", "malformed", False),
    "/loop": ("FetchFailed", "redirects more than 5 times", False),
    "/cut": ("FetchFailed", "IncompleteRead", True),
    "/huge": ("FetchFailed", "larger than 1 GiB", False),
}


@pytest.mark.parametrize("path", REFUSALS)
def test_what_a_server_does_wrong_is_named(
    path: str, server: TlsServer, source: Source, refused: Callable[..., None]
) -> None:
    reason, says, retryable = REFUSALS[path]
    refused(lambda: fetch(server.url(path), source), reason, says, retryable=retryable)


def test_loopback_is_refused_without_the_flag(
    server: TlsServer, tls: Path, refused: Callable[..., None]
) -> None:
    refused(
        lambda: fetch(server.url("/model.h5"), Source(tls / "alice" / "ca.crt")),
        "FetchFailed",
        "localhost is at",
        "loopback",
    )


def test_an_unknown_certificate_is_refused(
    server: TlsServer, other_tls: Path, refused: Callable[..., None]
) -> None:
    for bundle in (other_tls / "alice" / "ca.crt", None):
        source = Source(bundle, allow_loopback=True)
        refused(
            lambda source=source: fetch(server.url("/model.h5"), source),
            "FetchFailed",
            "not trusted",
            "spec.model.caBundle",
        )


def test_a_ca_bundle_without_certificates_is_named(
    server: TlsServer, tmp_path: Path, refused: Callable[..., None]
) -> None:
    (tmp_path / "ca.crt").write_text("nothing")
    refused(
        lambda: fetch(server.url("/model.h5"), Source(tmp_path / "ca.crt", allow_loopback=True)),
        "FetchFailed",
        "no PEM certificates",
        "spec.model.caBundle",
    )


def test_a_closed_port_and_an_unknown_name_are_tried_again(
    source: Source, refused: Callable[..., None]
) -> None:
    port = held_port()
    refused(
        lambda: fetch(f"https://localhost:{port}/model.h5", source),
        "FetchFailed",
        "ConnectionRefused",
        retryable=True,
    )
    refused(
        lambda: fetch("https://no-such-host.invalid/model.h5", source),
        "FetchFailed",
        "does not resolve",
        retryable=True,
    )


def test_a_user_name_in_the_uri_is_refused_without_repeating_the_password(source: Source) -> None:
    with pytest.raises(ShareError) as caught:
        fetch("https://me:hunter2@localhost/model.h5", source)
    assert "credentialsSecretRef" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_a_download_that_never_ends_is_given_up(
    server: TlsServer, source: Source, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., None]
) -> None:
    monkeypatch.setattr(https, "TOTAL_S", -1.0)
    refused(
        lambda: fetch(server.url("/model.h5"), source),
        "FetchFailed",
        "has not sent the artifact within",
        retryable=True,
    )


def test_credentials_go_to_the_first_host_alone(server: TlsServer, tls: Path) -> None:
    with TlsServer(
        tls / "bob", {"/moved": Answer(302, headers={"Location": server.url("/model.h5")})}
    ) as first:
        fetch(
            first.url("/moved"),
            Source(tls / "alice" / "ca.crt", "Bearer planted", allow_loopback=True),
        )
        assert first.requests[-1].headers["Authorization"] == "Bearer planted"
    assert server.requests[-1].path == "/model.h5"
    assert "Authorization" not in server.requests[-1].headers


def test_credentials_are_read_from_a_mounted_secret(
    tmp_path: Path, refused: Callable[..., None]
) -> None:
    refused(
        lambda: read_authorization(tmp_path),
        "FetchFailed",
        "neither the key token nor username and password",
    )
    (tmp_path / "username").write_text("me\n")
    (tmp_path / "password").write_text("pass")
    assert read_authorization(tmp_path) == "Basic bWU6cGFzcw=="
    (tmp_path / "token").write_text("abc\n")
    assert read_authorization(tmp_path) == "Bearer abc"


FORBIDDEN = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "0.0.0.0",  # noqa: S104 - refused
    "::",
    "224.0.0.1",
    "ff02::1",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_link_local_addresses_are_refused_in_every_spelling(address: str) -> None:
    assert not check_address(ipaddress.ip_address(address), allow_loopback=True)


@pytest.mark.parametrize("address", ["10.0.0.1", "93.184.216.34", "2606:2800:220:1::1", "fd00::1"])
def test_other_addresses_are_allowed(address: str) -> None:
    assert check_address(ipaddress.ip_address(address), allow_loopback=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_loopback_needs_its_flag(address: str) -> None:
    assert not check_address(ipaddress.ip_address(address), allow_loopback=False)
    assert check_address(ipaddress.ip_address(address), allow_loopback=True)


def test_one_bad_address_among_good_ones_is_enough(
    monkeypatch: pytest.MonkeyPatch, refused: Callable[..., None]
) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 443))
        for ip in ("93.184.216.34", "169.254.169.254")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    refused(
        lambda: fetch("https://rebinding.example/model.h5", Source()),
        "FetchFailed",
        "rebinding.example is at 169.254.169.254",
    )


def test_a_message_names_the_field_that_has_the_uri(
    server: TlsServer, source: Source, tmp_path: Path, refused: Callable[..., None]
) -> None:
    field = "spec.model.architecture"
    given = replace(source, field=field)
    refused(lambda: fetch(server.url("/none"), given), "ArtifactNotFound", f"correct {field}.uri")
    refused(lambda: fetch(str(tmp_path / "none"), given), "ArtifactNotFound", f"{field}.uri")
    refused(lambda: check_sha256(b"", "0" * 64, field), "HashMismatch", f"{field}.sha256 is 000")
