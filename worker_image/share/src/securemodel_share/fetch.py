"""Gets the artifact: a file, or an https:// URI that may not lead into the node's own network services."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from .errors import Reason, ShareError

MAX_BYTES = 1 << 30
MAX_REDIRECTS = 5
TIMEOUT_S = 30
HTTP_OK = 200
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Source:
    """How to reach an https artifact. `credentials`: an Authorization header, sent to the first host alone."""

    ca_bundle: Path | None = None
    credentials: str | None = None
    allow_loopback: bool = False


def fetch(uri: str, source: Source) -> bytes:
    """The artifact's bytes.

    Raises:
        ShareError: ArtifactNotFound, or FetchFailed (retryable where the network or the server may recover).
    """
    if uri.startswith("https://"):
        return _https(uri, source)
    if "://" in uri:
        raise ShareError(Reason.FETCH_FAILED, f"{uri.split('://', maxsplit=1)[0]}:// is not supported; use https:// or configmap://name/key")
    path = Path(uri)
    if not path.is_file():
        raise ShareError(Reason.ARTIFACT_NOT_FOUND, f"there is no file {uri}; check the ConfigMap's name and key in spec.model.uri")
    if path.stat().st_size > MAX_BYTES:
        raise ShareError(Reason.FETCH_FAILED, f"{uri} is larger than 1 GiB")
    return path.read_bytes()


def credentials(folder: Path | None) -> str | None:
    """The Authorization header from a mounted Secret: `token`, or `username` and `password`."""
    if folder is None:
        return None
    if (folder / "token").is_file():
        return "Bearer " + (folder / "token").read_text().strip()
    try:
        user, password = ((folder / name).read_text().strip() for name in ("username", "password"))
    except FileNotFoundError:
        message = "the Secret of spec.model.credentialsSecretRef holds neither the key token nor username and password; add them"
        raise ShareError(Reason.FETCH_FAILED, message) from None
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _https(uri: str, source: Source) -> bytes:
    context = ssl.create_default_context(cafile=str(source.ca_bundle) if source.ca_bundle else None)
    first_host = urlsplit(uri).netloc
    for _ in range(MAX_REDIRECTS + 1):
        parts = urlsplit(uri)
        if parts.scheme != "https" or not parts.hostname:
            raise ShareError(Reason.FETCH_FAILED, f"the artifact's server redirects to {parts.scheme}://{parts.hostname}, only https:// is followed")
        authorization = source.credentials if parts.netloc == first_host else None
        status, location, body = _get(parts.hostname, parts.port or 443, parts.path + (f"?{parts.query}" if parts.query else ""), context, source, authorization)
        if status in REDIRECTS and location:
            uri = urljoin(uri, location)
            continue
        if status == HTTP_OK:
            return body
        shown = f"https://{parts.netloc.rsplit('@', 1)[-1]}{parts.path}"
        if status in (404, 410):
            raise ShareError(Reason.ARTIFACT_NOT_FOUND, f"{shown} answers HTTP {status}; upload the artifact or correct spec.model.uri")
        if status in (401, 403):
            raise ShareError(Reason.FETCH_FAILED, f"{shown} answers HTTP {status}; check spec.model.credentialsSecretRef")
        raise ShareError(Reason.FETCH_FAILED, f"{shown} answers HTTP {status}", retryable=status >= 500 or status == 429)  # noqa: PLR2004
    raise ShareError(Reason.FETCH_FAILED, f"more than {MAX_REDIRECTS} redirects from {first_host}")


def checked_address(host: str, port: int, *, allow_loopback: bool) -> str:
    """An address of `host` that may be connected to. The connection is made to this very address, so that a second DNS answer cannot lead elsewhere.

    Raises:
        ShareError: FetchFailed, if the name does not resolve or an address is link-local (cloud metadata lives there), loopback or not unicast.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ShareError(Reason.FETCH_FAILED, f"{host} does not resolve: {error.strerror}", retryable=True) from None
    for *_, address in found:
        ip = ipaddress.ip_address(str(address[0]).split("%")[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip
        if ip.is_link_local or ip.is_multicast or ip.is_unspecified or (ip.is_loopback and not allow_loopback):
            message = f"{host} is {ip}, a link-local, loopback or multicast address, where artifacts are not fetched from; use the artifact store's own address"
            raise ShareError(Reason.FETCH_FAILED, message)
    return str(found[0][4][0])


class _Connection(http.client.HTTPSConnection):
    """Connects to an address that was checked, verifies the certificate for the name."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=TIMEOUT_S, context=context)
        self.address = address
        self.tls = context

    def connect(self) -> None:
        self.sock = self.tls.wrap_socket(socket.create_connection((self.address, self.port), TIMEOUT_S), server_hostname=self.host)


def _get(host: str, port: int, path: str, context: ssl.SSLContext, source: Source, authorization: str | None) -> tuple[int, str | None, bytes]:
    connection = _Connection(host, port, checked_address(host, port, allow_loopback=source.allow_loopback), context)
    try:
        connection.request("GET", path or "/", headers={"Authorization": authorization} if authorization else {})
        response = connection.getresponse()
        body = response.read(MAX_BYTES + 1)
    except ssl.SSLCertVerificationError as error:
        message = f"the certificate of {host} is not trusted: {error.verify_message}; give its CA in spec.model.caBundle"
        raise ShareError(Reason.FETCH_FAILED, message) from None
    except (OSError, http.client.HTTPException) as error:
        raise ShareError(Reason.FETCH_FAILED, f"{host}:{port}: {type(error).__name__} while fetching the artifact", retryable=True) from error
    finally:
        connection.close()
    if len(body) > MAX_BYTES:
        raise ShareError(Reason.FETCH_FAILED, f"the artifact at {host} is larger than 1 GiB")
    return response.status, response.getheader("Location"), body
