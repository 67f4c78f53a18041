"""Hands each player its own share file, over mutual TLS 1.3, after checking that the server is that player."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from .errors import Reason, ShareError
from .shares import ROLES

WAIT_S = 120.0
RETRY_S = 0.5
CONNECT_S = 5.0
SEND_S = 300.0
HTTP_OK = 200
Progress = Callable[[str], None]


def load_cluster(path: Path) -> dict[str, tuple[str, str, int]]:
    """role -> (player, host, port), from the cluster config (docs/wire.md)."""
    config = json.loads(path.read_text())
    if not isinstance(config, dict) or len(config) != len(ROLES):
        raise ShareError(Reason.INTERNAL_ERROR, f"{path} is not a cluster config of three players")
    cluster = {}
    for role, (player, address) in zip(ROLES, config.items(), strict=True):
        host, _, port = address.rpartition(":")
        cluster[role] = (player, host, int(port))
    return cluster


def identity(certificate: x509.Certificate) -> str:
    """The certificate's securemodel:// URI."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = [uri for uri in names.get_values_for_type(x509.UniformResourceIdentifier) if uri.startswith("securemodel://")]
    if len(uris) != 1:
        raise ValueError("not exactly one securemodel:// URI")
    return uris[0]


def deliver(files: dict[str, bytes], cluster: dict[str, tuple[str, str, int]], tls: Path, progress: Progress, wait_s: float = WAIT_S) -> None:
    """Delivers all files; waits at most `wait_s` seconds in all for players that do not answer yet.

    Raises:
        ShareError: PlayersUnreachable (retryable) or SharesRefused, naming the player.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(tls / "ca.crt")
    context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
    own = identity(x509.load_pem_x509_certificate((tls / "tls.crt").read_bytes()))
    end = time.monotonic() + wait_s
    for role, (player, host, port) in cluster.items():
        waiting = False
        while True:
            try:
                _put(context, host, port, files[role], own.rpartition("/")[0] + f"/{role}")
                break
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, ssl.SSLCertVerificationError) or time.monotonic() > end:
                    message = f"player {player} at {host}:{port} cannot be reached: {error}; look at its pod's log"
                    raise ShareError(Reason.PLAYERS_UNREACHABLE, message, retryable=True) from None
                if not waiting:
                    progress(f"waiting for {player} at {host}:{port}")
                    waiting = True
                time.sleep(RETRY_S)
        progress(f"delivered to {player}")


def _put(context: ssl.SSLContext, host: str, port: int, body: bytes, expected: str) -> None:
    connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_S, context=context)
    try:
        connection.connect()
        certificate = x509.load_der_x509_certificate(connection.sock.getpeercert(binary_form=True))
        found = identity(certificate)
        if found != expected:
            raise ShareError(Reason.SHARES_REFUSED, f"{host}:{port} is {found}, not {expected}; nothing was sent to it")
        connection.sock.settimeout(SEND_S)
        connection.request("PUT", "/v1/shares", body=body, headers={"Content-Type": "application/octet-stream"})
        response = connection.getresponse()
        text = response.read(1 << 16)
    finally:
        connection.close()
    if response.status != HTTP_OK:
        try:
            reason = json.loads(text)["error"]
        except (ValueError, KeyError, TypeError):
            reason = f"HTTP {response.status}"
        raise ShareError(Reason.SHARES_REFUSED, f"{host}:{port} refused its shares: {reason}", retryable=response.status >= 500)  # noqa: PLR2004
