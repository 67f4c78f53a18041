"""https:// URIs, which may not lead into the node's own network services."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from securemodel_share.errors import Reason, ShareError

from .addresses import checked_addresses
from .base import MAX_BYTES, Source, fetches, too_large

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_REDIRECTS = 5
# a server that sends nothing, and a whole download
SILENCE_S = 30.0
TOTAL_S = 600.0
CHUNK = 1 << 20
REDIRECTS = (301, 302, 303, 307, 308)


@fetches("https")
def get(uri: str, source: Source) -> bytes:
    """The artifact's bytes, through redirects. Raises ArtifactNotFound or FetchFailed."""
    context = _trust(source.ca_bundle)
    first = _split(uri, source.field)
    end = time.monotonic() + TOTAL_S
    for _ in range(MAX_REDIRECTS + 1):
        target = _split(uri, source.field)
        authorization = source.authorization if target.netloc == first.netloc else None
        with _get(target, context, replace(source, authorization=authorization)) as response:
            location = response.getheader("Location")
            if response.status in REDIRECTS and location:
                uri = urljoin(uri, location)
                continue
            if response.status == http.client.OK:
                return _read(response, target, end)
            shown = f"https://{target.netloc}{target.path}"
            raise _refusal(response.status, shown, source.field)
    raise ShareError(
        Reason.FETCH_FAILED,
        f"{first.hostname} redirects more than {MAX_REDIRECTS} times; give the artifact's own "
        f"address in {source.field}.uri",
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


def _split(uri: str, field: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - raises if it is no number
    except ValueError:
        raise ShareError(
            Reason.FETCH_FAILED,
            "the artifact's URI, or one that its server redirects to, is malformed; correct "
            f"{field}.uri",
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


def _refusal(status: int, shown: str, field: str) -> ShareError:
    if status in (http.client.NOT_FOUND, http.client.GONE):
        return ShareError(
            Reason.ARTIFACT_NOT_FOUND,
            f"{shown} answers HTTP {status}; upload the artifact or correct {field}.uri",
        )
    if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
        return ShareError(
            Reason.FETCH_FAILED,
            f"{shown} answers HTTP {status}; check the Secret of spec.model.credentialsSecretRef, "
            "which is for the host of spec.model.uri alone",
        )
    if status >= http.client.INTERNAL_SERVER_ERROR or status in (
        http.client.TOO_MANY_REQUESTS,
        http.client.REQUEST_TIMEOUT,
    ):
        return ShareError(
            Reason.FETCH_FAILED, f"{shown} answers HTTP {status}; it is tried again", retryable=True
        )
    return ShareError(Reason.FETCH_FAILED, f"{shown} answers HTTP {status}; correct {field}.uri")


def _read(response: http.client.HTTPResponse, target: SplitResult, end: float) -> bytes:
    """The whole body, not more than MAX_BYTES, and not less than was announced."""
    announced, body = response.length, bytearray()
    if announced is not None and announced > MAX_BYTES:
        raise too_large(str(target.hostname))
    while chunk := response.read(CHUNK):
        body += chunk
        if len(body) > MAX_BYTES:
            raise too_large(str(target.hostname))
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
    target: SplitResult, context: ssl.SSLContext, source: Source
) -> Iterator[http.client.HTTPResponse]:
    host, port = str(target.hostname), target.port or 443
    connection = _Connection(host, port, checked_addresses(host, port, source), context)
    path = quote(target.path or "/", safe="/%:@!$&'()*+,;=~") + (
        f"?{quote(target.query, safe='/%:@!$&()*+,;=~?')}" if target.query else ""
    )
    try:
        headers = {"Authorization": source.authorization} if source.authorization else {}
        connection.request("GET", path, headers=headers)
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
