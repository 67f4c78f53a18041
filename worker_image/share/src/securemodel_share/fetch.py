"""Gets the artifact: a file, or an https:// URI that may not lead into the node's own network
services.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import ipaddress
import socket
import ssl
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from .errors import Reason, ShareError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 1 << 30
MAX_REDIRECTS = 5
# a server that sends nothing, and a whole download
SILENCE_S = 30.0
TOTAL_S = 600.0
CHUNK = 1 << 20
REDIRECTS = (301, 302, 303, 307, 308)
NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Source:
    """How to reach an https artifact. `ca_bundle`: trusted instead of the system's CAs.
    `authorization`: the header, sent to the first host alone.
    """

    ca_bundle: Path | None = None
    authorization: str | None = None
    allow_loopback: bool = False


def fetch(uri: str, source: Source) -> bytes:
    """The artifact's bytes.

    Raises:
        ShareError: ArtifactNotFound, or FetchFailed (retryable where the network or the server
            may recover).
    """
    if uri.startswith("https://"):
        return _https(uri, source)
    if "://" in uri:
        raise ShareError(
            Reason.FETCH_FAILED,
            f"{uri.split('://', maxsplit=1)[0]}:// is not supported; use https:// or "
            "configmap://name/key",
        )
    path = Path(uri)
    if not path.is_file():
        raise ShareError(
            Reason.ARTIFACT_NOT_FOUND,
            f"there is no file {uri}; check name and key in spec.model.uri, and that the ConfigMap "
            "has that key",
        )
    if path.stat().st_size > MAX_BYTES:
        raise _too_large(uri)
    return path.read_bytes()


def check_sha256(data: bytes, expected: str) -> None:
    """Raises HashMismatch unless `data` has this SHA-256 (hex, any case)."""
    found = hashlib.sha256(data).hexdigest()
    if found != expected.lower():
        message = (
            f"the artifact has SHA-256 {found}, spec.model.sha256 is {expected.lower()}; "
            "check which file was stored, then correct one of the two"
        )
        raise ShareError(Reason.HASH_MISMATCH, message)


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


def _https(uri: str, source: Source) -> bytes:
    context = _trust(source.ca_bundle)
    first = _split(uri)
    end = time.monotonic() + TOTAL_S
    for _ in range(MAX_REDIRECTS + 1):
        target = _split(uri)
        authorization = source.authorization if target.netloc == first.netloc else None
        with _get(target, context, authorization, allow_loopback=source.allow_loopback) as response:
            location = response.getheader("Location")
            if response.status in REDIRECTS and location:
                uri = urljoin(uri, location)
                continue
            if response.status == http.client.OK:
                return _read(response, target, end)
            raise _refusal(response.status, f"https://{target.netloc}{target.path}")
    raise ShareError(
        Reason.FETCH_FAILED,
        f"{first.hostname} redirects more than {MAX_REDIRECTS} times; give the artifact's own "
        "address in spec.model.uri",
    )


def _trust(ca_bundle: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_bundle) if ca_bundle else None)
    except (ssl.SSLError, OSError):
        message = (
            f"the CA bundle {ca_bundle} holds no PEM certificates; correct the object that "
            "spec.model.caBundle names"
        )
        raise ShareError(Reason.FETCH_FAILED, message) from None


def _split(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - raises if it is no number
    except ValueError:
        raise ShareError(
            Reason.FETCH_FAILED,
            "the artifact's URI, or one that its server redirects to, is malformed; correct "
            "spec.model.uri",
        ) from None
    if parts.scheme != "https" or not parts.hostname:
        message = (
            f"the artifact's server redirects to {parts.scheme}://{parts.hostname or ''}, "
            "only https:// is followed; give an https:// address"
        )
        raise ShareError(Reason.FETCH_FAILED, message)
    if parts.username is not None:
        message = (
            f"the URI of {parts.hostname} holds a user name; put credentials into a Secret "
            "and name it in spec.model.credentialsSecretRef"
        )
        raise ShareError(Reason.FETCH_FAILED, message)
    return parts


def _refusal(status: int, shown: str) -> ShareError:
    if status in (http.client.NOT_FOUND, http.client.GONE):
        return ShareError(
            Reason.ARTIFACT_NOT_FOUND,
            f"{shown} answers HTTP {status}; upload the artifact or correct spec.model.uri",
        )
    if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
        return ShareError(
            Reason.FETCH_FAILED,
            f"{shown} answers HTTP {status}; check the Secret of spec.model.credentialsSecretRef",
        )
    if status >= http.client.INTERNAL_SERVER_ERROR or status in (
        http.client.TOO_MANY_REQUESTS,
        http.client.REQUEST_TIMEOUT,
    ):
        return ShareError(
            Reason.FETCH_FAILED, f"{shown} answers HTTP {status}; it is tried again", retryable=True
        )
    return ShareError(Reason.FETCH_FAILED, f"{shown} answers HTTP {status}; correct spec.model.uri")


def _read(response: http.client.HTTPResponse, target: SplitResult, end: float) -> bytes:
    """The whole body, not more than MAX_BYTES, and not less than was announced."""
    announced, body = response.length, bytearray()
    if announced is not None and announced > MAX_BYTES:
        raise _too_large(str(target.hostname))
    while chunk := response.read(CHUNK):
        body += chunk
        if len(body) > MAX_BYTES:
            raise _too_large(str(target.hostname))
        if time.monotonic() > end:
            raise ShareError(
                Reason.FETCH_FAILED,
                f"{target.hostname} has not sent the artifact within {TOTAL_S:.0f} s; it is tried "
                "again",
                retryable=True,
            )
    if announced is not None and len(body) < announced:
        raise http.client.IncompleteRead(b"", announced - len(body))
    return bytes(body)


def _too_large(what: str) -> ShareError:
    return ShareError(
        Reason.FETCH_FAILED,
        f"the artifact at {what} is larger than 1 GiB; save the model without optimizer state",
    )


def check_address(ip: Address, *, allow_loopback: bool) -> bool:
    """Whether artifacts may be fetched from here. Not from link-local addresses: cloud metadata
    services, which hand out credentials, live there.
    """
    if isinstance(ip, ipaddress.IPv6Address):
        inner = (
            ip.ipv4_mapped
            or ip.sixtofour
            or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else None)
        )
        if inner is not None:
            return check_address(inner, allow_loopback=allow_loopback)
    if ip.is_loopback:
        return allow_loopback
    return not (ip.is_link_local or ip.is_multicast or ip.is_unspecified)


def checked_addresses(host: str, port: int, *, allow_loopback: bool) -> list[str]:
    """The addresses of `host`, all of them fit to connect to. Connections go to these very
    addresses, so that another DNS answer cannot lead elsewhere.

    Raises:
        ShareError: FetchFailed, if the name does not resolve or one of its addresses is not
            allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ShareError(
            Reason.FETCH_FAILED,
            f"{host} does not resolve; check spec.model.uri, it is tried again",
            retryable=True,
        ) from None
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    for address in addresses:
        if not check_address(
            ipaddress.ip_address(address.split("%")[0]), allow_loopback=allow_loopback
        ):
            message = (
                f"{host} is at {address}, a link-local, loopback or multicast address, from "
                "where nothing is fetched; give the artifact store's own address"
            )
            raise ShareError(Reason.FETCH_FAILED, message)
    return addresses


class _Connection(http.client.HTTPSConnection):
    """Connects to addresses that were checked, verifies the certificate for the name."""

    def __init__(self, host: str, port: int, addresses: list[str], context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=SILENCE_S, context=context)
        self.addresses = addresses
        self.tls = context

    def connect(self) -> None:
        error: OSError | None = None
        for address in self.addresses:
            try:
                plain = socket.create_connection((address, self.port), SILENCE_S)
            except OSError as e:
                error = e
                continue
            self.sock = self.tls.wrap_socket(plain, server_hostname=self.host)
            return
        raise error or OSError("no address")


@contextmanager
def _get(
    target: SplitResult, context: ssl.SSLContext, authorization: str | None, *, allow_loopback: bool
) -> Iterator[http.client.HTTPResponse]:
    host, port = str(target.hostname), target.port or 443
    connection = _Connection(
        host, port, checked_addresses(host, port, allow_loopback=allow_loopback), context
    )
    path = quote(target.path or "/", safe="/%:@!$&'()*+,;=~") + (
        f"?{quote(target.query, safe='/%:@!$&()*+,;=~?')}" if target.query else ""
    )
    try:
        connection.request(
            "GET", path, headers={"Authorization": authorization} if authorization else {}
        )
        yield connection.getresponse()
    except ssl.SSLCertVerificationError as error:
        message = (
            f"the certificate of {host} is not trusted: {error.verify_message}; give its CA "
            "in spec.model.caBundle"
        )
        raise ShareError(Reason.FETCH_FAILED, message) from None
    except (OSError, http.client.HTTPException) as error:
        message = (
            f"the connection to {host}:{port} failed ({type(error).__name__}); it is tried again"
        )
        raise ShareError(Reason.FETCH_FAILED, message, retryable=True) from None
    finally:
        connection.close()
