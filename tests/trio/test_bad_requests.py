"""Requests that are wrong, incomplete or not allowed.

Each gets a v2 error for itself alone, and the trio serves the next one.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import reference
import securemodel
from securemodel.connect import endpoint
from securemodel_operator import pki
from securemodel_operator.names import Names, Seat
from trio import Trio


@pytest.fixture(autouse=True)
def _serves_the_next_request(trio: Trio) -> Iterator[None]:
    yield
    images = reference.digits()[0][:1]
    with trio.client() as model:
        assert np.abs(model.predict(images) - reference.logits(images)).max() <= 1e-3


def context(trio: Trio, holder: str | None = None, ca: Path | None = None) -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.load_verify_locations(ca or trio.folder / "tls/ca.crt")
    if holder:
        found.load_cert_chain(
            trio.folder / f"tls/{holder}/tls.crt", trio.folder / f"tls/{holder}/tls.key"
        )
    return found


def send(
    trio: Trio,
    role: str,
    method: str,
    path: str,
    body: bytes = b"",
    headers: dict | None = None,
    holder: str | None = None,
) -> tuple[int, dict]:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", trio.ports[role], context=context(trio, holder), timeout=20
    )
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def infer(
    trio: Trio,
    role: str,
    shape: list[int],
    *,
    datatype: str = "UINT64",
    name: str = "input",
    request_id: str | None = None,
    data: bytes | None = None,
):
    tensor = os.urandom(8 * int(np.prod(shape))) if data is None else data
    header = {
        "id": request_id or os.urandom(16).hex(),
        "inputs": [
            {
                "name": name,
                "datatype": datatype,
                "shape": shape,
                "parameters": {"binary_data_size": len(tensor)},
            }
        ],
    }
    text = json.dumps(header).encode()
    return send(
        trio,
        role,
        "POST",
        "/v2/models/digits/infer",
        text + tensor,
        {"Inference-Header-Content-Length": str(len(text))},
    )


def check(
    answer: tuple[int, dict], status: int, code: str, *, retryable: bool, says: str = ""
) -> None:
    found, body = answer
    assert (found, body["code"], body["retryable"]) == (status, code, retryable), body
    assert says in body["error"], body


def test_a_wrong_shape_is_named(trio: Trio) -> None:
    answer = infer(trio, "alice", [1, 28, 28])
    check(answer, 400, "wrong_shape", retryable=False, says="[B, 28, 28, 1]")
    answer = infer(trio, "bob", [65, 28, 28, 1])
    check(answer, 400, "wrong_shape", retryable=False, says="1 to 64")


def test_another_datatype_name_or_model_is_named(trio: Trio) -> None:
    answer = infer(trio, "alice", [1, 28, 28, 1], datatype="FP32")
    check(answer, 400, "bad_request", retryable=False, says="UINT64")
    answer = infer(trio, "alice", [1, 28, 28, 1], name="image")
    check(answer, 400, "bad_request", retryable=False, says='"input"')
    answer = send(trio, "alice", "GET", "/v2/models/other")
    check(answer, 404, "not_found", retryable=False, says="other")
    answer = send(trio, "carol", "GET", "/v2/models/digits")
    check(answer, 404, "not_found", retryable=False, says="alice and bob answer")


def test_a_body_that_is_too_short_or_no_json_is_refused(trio: Trio) -> None:
    answer = infer(trio, "alice", [1, 28, 28, 1], data=b"123")
    check(answer, 400, "bad_request", retryable=False, says="6272 bytes")
    length = {"Inference-Header-Content-Length": "8"}
    answer = send(trio, "alice", "POST", "/v2/models/digits/infer", b"not json", length)
    check(answer, 400, "bad_request", retryable=False, says="JSON")
    answer = send(trio, "alice", "POST", "/v2/models/digits/infer", b"{}")
    check(answer, 400, "bad_request", retryable=False, says="Inference-Header-Content-Length")


def test_an_oversized_body_is_refused_before_it_is_read(trio: Trio) -> None:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", trio.ports["alice"], context=context(trio), timeout=20
    )
    connection.putrequest("POST", "/v2/models/digits/infer")
    connection.putheader("Content-Length", str(1 << 30))
    connection.putheader("Inference-Header-Content-Length", "10")
    connection.endheaders()
    response = connection.getresponse()
    answer = (response.status, json.loads(response.read()))
    check(answer, 413, "too_large", retryable=False, says="fewer rows")
    connection.close()


def test_one_share_never_sent_fails_that_request_alone(trio: Trio) -> None:
    begin = time.monotonic()
    answer = infer(trio, "alice", [1, 28, 28, 1])
    assert time.monotonic() - begin < 10
    check(answer, 504, "share_missing", retryable=True, says="bob")
    check(infer(trio, "bob", [1, 28, 28, 1]), 504, "share_missing", retryable=True, says="alice")


def test_a_request_id_serves_once(trio: Trio) -> None:
    request_id = os.urandom(16).hex()
    infer(trio, "alice", [1, 28, 28, 1], request_id=request_id)
    answer = infer(trio, "alice", [1, 28, 28, 1], request_id=request_id)
    check(answer, 409, "duplicate_id", retryable=False)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.nan, "nan at [0, 3, 4, 0]"),
        (np.inf, "inf at"),
        (1.5, "from -1 to 1"),
        (-1e300, "from -1 to 1"),
    ],
)
def test_what_the_model_cannot_take_is_refused_before_anything_is_sent(
    trio: Trio, value: float, says: str
) -> None:
    images = np.zeros((2, 28, 28, 1))
    images[0, 3, 4, 0] = value

    def asked() -> list[int]:
        return [trio.status(role)["counters"]["requests"] for role in ("alice", "bob")]

    with trio.client() as model:
        model.metadata()
        before = asked()
        with pytest.raises(securemodel.InputError) as error:
            model.predict(images)
        assert says in str(error.value)
        with pytest.raises(securemodel.InputError, match="28, 28, 1"):
            model.predict(np.zeros((2, 28, 28)))
    assert asked() == before


@pytest.mark.parametrize("holder", [None, "alice", "bob", "carol"])
def test_only_the_share_step_may_deliver_shares(trio: Trio, holder: str | None) -> None:
    answer = send(trio, "alice", "PUT", "/v1/shares", b"x", holder=holder)
    check(answer, 403, "forbidden", retryable=False, says="certificate")


def test_a_file_that_is_not_this_players_shares_is_refused(trio: Trio, tmp_path: Path) -> None:
    def deliver(file: bytes) -> tuple[int, dict]:
        return send(trio, "alice", "PUT", "/v1/shares", file, holder="share")

    answer = deliver(b"not a share file")
    check(answer, 422, "bad_shares", retryable=False, says="not a share file")
    bob = (trio.folder / "data/bob/shares.safetensors").read_bytes()
    check(deliver(bob), 422, "bad_shares", retryable=False, says="bob's")

    damaged = bytearray((trio.folder / "data/alice/shares.safetensors").read_bytes())
    at = damaged.index(b"truncate_relu")
    damaged[at : at + 8] = b"TRUNCATE"
    check(deliver(bytes(damaged)), 422, "bad_shares", retryable=False, says="digest")


def peer_refused(trio: Trio, folder: Path, role: str = "alice") -> bool:
    """Whether a dialer with this certificate gets no HELLO."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.load_verify_locations(trio.folder / "tls/ca.crt")
    found.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    found.set_alpn_protocols(["securemodel-peer/1"])
    import socket

    with socket.create_connection(("127.0.0.1", trio.ports[role]), 5) as raw:
        try:
            with found.wrap_socket(raw, server_hostname="127.0.0.1") as sock:
                sock.settimeout(5)
                return sock.recv(1) == b""
        except (ssl.SSLError, ConnectionError):
            return True


def test_a_peer_of_another_ca_or_another_role_is_refused(trio: Trio, tmp_path: Path) -> None:
    epoch = trio.status("alice")["epoch"]
    pki.main(["--out", str(tmp_path / "other-ca")])
    assert peer_refused(trio, tmp_path / "other-ca/bob"), "another CA"
    assert peer_refused(trio, trio.folder / "tls/share"), "the share step is no peer"
    assert peer_refused(trio, trio.folder / "tls/alice", role="bob"), "alice does not dial bob"
    assert peer_refused(trio, trio.folder / "tls/alice"), "alice does not dial herself"
    assert trio.status("alice")["epoch"] == epoch, "the epoch goes on"


def test_a_certificate_of_another_model_is_refused(trio: Trio, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    # the CA's key is not on disk: another CA with the same name signs another model's certificate
    ca = pki.make_ca(Names(namespace="default", model="digits").authority(), datetime.now(UTC))
    bob = Names(namespace="default", model="other").seat_subject(Seat("bob"), "bob")
    other = pki.issue(ca, bob, datetime.now(UTC))
    (tmp_path / "tls.crt").write_text(other.certificate)
    (tmp_path / "tls.key").write_text(other.key)
    assert peer_refused(trio, tmp_path)


def test_the_client_refuses_a_player_of_another_role_or_ca(trio: Trio, tmp_path: Path) -> None:
    urls = {role: f"https://127.0.0.1:{trio.ports[role]}" for role in ("alice", "bob")}
    ca = (trio.folder / "tls/ca.crt").read_text()
    swapped = {
        "alice": endpoint("alice", "alice", urls["bob"]),
        "bob": endpoint("bob", "bob", urls["alice"]),
    }
    with (
        securemodel.Model(swapped, ca, "digits") as model,
        pytest.raises(securemodel.UntrustedAnswerError, match="nothing was sent"),
    ):
        model.predict(np.zeros((1, 28, 28, 1)))
    pki.main(["--out", str(tmp_path)])
    straight = {role: endpoint(role, role, url) for role, url in urls.items()}
    with (
        securemodel.Model(straight, (tmp_path / "ca.crt").read_text(), "digits") as model,
        pytest.raises(securemodel.UntrustedAnswerError, match="CA"),
    ):
        model.predict(np.zeros((1, 28, 28, 1)))
    with (
        securemodel.Model(straight, ca, "digits", digest="0" * 64) as model,
        pytest.raises(securemodel.UntrustedAnswerError, match="expected 0000"),
    ):
        model.predict(np.zeros((1, 28, 28, 1)))
