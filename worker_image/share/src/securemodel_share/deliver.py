"""Hands each player its own share file, over mutual TLS 1.3, after checking that the server is that
player.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from .errors import Reason, ShareError
from .shares import ROLES

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 120.0
RETRY_S = 0.5
CONNECT_S = 5.0
SEND_S = 300.0
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Player:
    """Where a role is played."""

    role: str
    name: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"player {self.name} at {self.host}:{self.port}"


def load_cluster(path: Path) -> list[Player]:
    """The players of a cluster config, in the order of the roles (docs/wire.md)."""
    try:
        config = json.loads(path.read_text())
        addresses = {str(name): str(address).rpartition(":") for name, address in config.items()}
        return [
            Player(role, name, host, int(port))
            for role, (name, (host, _, port)) in zip(ROLES, addresses.items(), strict=True)
        ]
    except (OSError, ValueError, AttributeError):
        message = (
            f"{path} is not a cluster config: a JSON object of three players, name to "
            "host:port; see docs/wire.md"
        )
        raise ShareError(Reason.INTERNAL_ERROR, message) from None


class Identity:
    """The share step's certificate: what it authenticates with, and whose players it may talk
    to.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.context.minimum_version = ssl.TLSVersion.TLSv1_3
            self.context.set_alpn_protocols(["http/1.1"])
            self.context.load_verify_locations(folder / "ca.crt")
            self.context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
            self.uri = role_uri(x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes()))
        except (OSError, ValueError) as error:
            message = (
                f"{folder} does not hold a usable ca.crt, tls.crt and tls.key "
                f"({type(error).__name__}); the operator writes them, see docs/wire.md"
            )
            raise ShareError(Reason.INTERNAL_ERROR, message) from None

    def expects(self, player: Player) -> str:
        """The URI in the certificate of that player of the same SecureModel."""
        return f"{self.uri.rpartition('/')[0]}/{player.role}"


def role_uri(certificate: x509.Certificate) -> str:
    """The certificate's one securemodel:// URI. Raises ValueError if there is none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise ValueError("the certificate has no alternative names") from None
    uris = [
        uri
        for uri in names.get_values_for_type(x509.UniformResourceIdentifier)
        if uri.startswith("securemodel://")
    ]
    if len(uris) != 1:
        raise ValueError("the certificate has not exactly one securemodel:// URI")
    return uris[0]


def deliver(
    files: dict[str, bytes],
    players: list[Player],
    identity: Identity,
    progress: Progress,
    wait_s: float = WAIT_S,
) -> None:
    """Delivers all files; waits at most `wait_s` seconds in all for players that do not answer yet.

    Raises:
        ShareError: PlayersUnreachable (retryable) or SharesRefused, naming the player.
    """
    end = time.monotonic() + wait_s
    for player in players:
        _deliver_one(files[player.role], player, identity, progress, end)
        progress(f"{player} has its shares")


def _deliver_one(
    file: bytes, player: Player, identity: Identity, progress: Progress, end: float
) -> None:
    said = False
    while True:
        try:
            return _put(file, player, identity)
        except ssl.SSLCertVerificationError as error:
            message = (
                f"{player} is not trusted: {error.verify_message}; nothing was sent to it; "
                "check that its certificate is of this SecureModel's CA"
            )
            raise ShareError(Reason.PLAYERS_UNREACHABLE, message, retryable=True) from None
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() > end:
                message = f"{player} cannot be reached ({error}); look at its pod's events and log"
                raise ShareError(Reason.PLAYERS_UNREACHABLE, message, retryable=True) from None
            if not said:
                progress(f"waiting for {player} ...")
                said = True
            time.sleep(RETRY_S)


def _put(file: bytes, player: Player, identity: Identity) -> None:
    connection = http.client.HTTPSConnection(
        player.host, player.port, timeout=CONNECT_S, context=identity.context
    )
    try:
        connection.connect()
        _check_peer(connection.sock.getpeercert(binary_form=True), player, identity)
        connection.sock.settimeout(SEND_S)
        connection.request(
            "PUT", "/v1/shares", body=file, headers={"Content-Type": "application/octet-stream"}
        )
        response = connection.getresponse()
        answer = response.read(1 << 16)
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise _refusal(player, response.status, answer)


def _check_peer(certificate: bytes | None, player: Player, identity: Identity) -> None:
    """The CA alone is not enough: who answers at this address must be this role of this
    SecureModel.
    """
    expected = identity.expects(player)
    try:
        found = role_uri(x509.load_der_x509_certificate(certificate or b""))
    except ValueError as error:
        found = str(error)
    if found != expected:
        message = (
            f"{player} has a certificate for {found}, not {expected}; nothing was sent to "
            "it; check the cluster config and the players' Secrets"
        )
        raise ShareError(Reason.SHARES_REFUSED, message)


def _refusal(player: Player, status: int, answer: bytes) -> ShareError:
    try:
        error = json.loads(answer)
        why, retryable = str(error["error"])[:500], error["retryable"] is True
    except (ValueError, LookupError, TypeError):
        why, retryable = f"HTTP {status}", status >= http.client.INTERNAL_SERVER_ERROR
    return ShareError(
        Reason.SHARES_REFUSED, f"{player} refused its shares: {why}", retryable=retryable
    )
