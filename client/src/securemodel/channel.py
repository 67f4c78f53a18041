"""A TLS connection to a player, and one exchange with alice and bob at the same time."""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from . import wire
from .errors import ConfigError, IdentityError, ProtocolError, Unreachable
from .wire import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONNECT = 5.0
# pieces in which the two bodies are sent in turn, so that both end at about the same time: players wait for each other's share for 5 s only
PIECE = 64 << 10


@dataclass(frozen=True)
class Endpoint:
    """Where a player is. `dial(seconds)` opens a byte stream to it or raises OSError; `server_name` is what its certificate must name."""

    where: str
    server_name: str
    dial: Callable[[float], socket.socket]


def tcp(host: str, port: int) -> Endpoint:
    """An endpoint that is reached directly."""

    def dial(seconds: float) -> socket.socket:
        sock = socket.create_connection((host, port), timeout=seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    return Endpoint(where=f"{host}:{port}", server_name=host, dial=dial)


def parse_url(role: str, url: str) -> Endpoint:
    """An endpoint from https://host:port. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
    except ValueError as e:
        raise ConfigError(f"the endpoint of {role}, {url!r}: {e}") from e
    if parts.scheme != "https" or not host or parts.path not in ("", "/"):
        raise ConfigError(f"the endpoint of {role} is {url!r}; write https://host:port")
    return tcp(host, port)


def tls_context(ca: str | Path) -> ssl.SSLContext:
    """TLS 1.3 that trusts one CA. ca: a path, or PEM text. Raises ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    try:
        pem = str(ca) if "-----BEGIN" in str(ca) else Path(ca).read_text(encoding="ascii")
        context.load_verify_locations(cadata=pem)
    except (OSError, ValueError) as e:
        raise ConfigError(f"the CA certificate of the model cannot be used: {e}; take ca.crt from the ConfigMap <model>-client") from e
    return context


class Channel:
    """One HTTPS connection to the player of one role. Dials when needed; after any failure the connection is gone and the next use dials again."""

    def __init__(self, role: str, endpoint: Endpoint, context: ssl.SSLContext, identity: str) -> None:
        self.role = role
        self._endpoint = endpoint
        self._context = context
        self._identity = identity
        self._sock: ssl.SSLSocket | None = None
        self._http: http.client.HTTPConnection | None = None

    def connect(self, deadline: float) -> None:
        """Makes sure that there is a connection, and that it ends at this role. Raises Unreachable, IdentityError."""
        if self._sock is not None and not self._stale(self._sock):
            return
        self.close()
        seconds = min(CONNECT, self._left(deadline))
        try:
            raw = self._endpoint.dial(seconds)
        except OSError as e:
            raise Unreachable(f"{self.role} at {self._endpoint.where} cannot be reached: {e}") from e
        try:
            raw.settimeout(seconds)
            sock = self._context.wrap_socket(raw, server_hostname=self._endpoint.server_name)
        except ssl.SSLCertVerificationError as e:
            raw.close()
            raise IdentityError(
                f"{self.role} at {self._endpoint.where} has a certificate that the model's CA does not vouch for ({e.verify_message}); "
                "nothing was sent. If the model was made anew, read its client config again"
            ) from e
        except OSError as e:
            raw.close()
            raise Unreachable(f"{self.role} at {self._endpoint.where} broke the TLS handshake off: {e}") from e
        try:
            self._check_identity(sock)
        except IdentityError:
            sock.close()
            raise
        self._sock = sock
        self._http = http.client.HTTPConnection(self._endpoint.server_name)
        self._http.auto_open = 0
        self._http.sock = sock

    def start(self, method: str, path: str, headers: Mapping[str, str], length: int, deadline: float) -> None:
        """Sends the head of a request whose body has so many bytes."""
        connection, sock = self._live()
        sock.settimeout(self._left(deadline))
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if length:
            connection.putheader("Content-Length", str(length))
        connection.endheaders()

    def send(self, piece: memoryview, deadline: float) -> None:
        """Sends the next part of the body."""
        _, sock = self._live()
        sock.settimeout(self._left(deadline))
        sock.sendall(piece)

    def receive(self, limit: int, deadline: float) -> Reply:
        """Reads the response, at most `limit` bytes of body."""
        connection, sock = self._live()
        sock.settimeout(self._left(deadline))
        response = connection.getresponse()
        body = response.read(limit + 1)
        if len(body) > limit:
            self.close()
            raise ProtocolError(f"{self.role}'s answer is longer than {limit} bytes")
        if response.length:
            raise ConnectionResetError(f"{response.length} bytes of the answer are missing")
        if response.will_close:
            self.close()
        else:
            response.read()  # tells http.client that this response is over
        return Reply(self.role, response.status, body, _number(response.getheader(wire.JSON_LENGTH)), float(_number(response.getheader("Retry-After")) or 0))

    def ready_to_read(self) -> bool:
        """Whether the TLS layer holds bytes that the socket no longer shows."""
        return self._sock is not None and self._sock.pending() > 0

    def fileno(self) -> int:
        return self._live()[1].fileno()

    def close(self) -> None:
        """Closes the connection; the player then forgets what was asked on it."""
        sock, self._sock, self._http = self._sock, None, None
        if sock is not None:
            sock.close()

    def _check_identity(self, sock: ssl.SSLSocket) -> None:
        certificate = sock.getpeercert() or {}
        names = [str(name[1]) for name in certificate.get("subjectAltName", ()) if name[0] == "URI" and str(name[1]).startswith("securemodel://")]
        if names != [self._identity]:
            raise IdentityError(
                f"{self.role} at {self._endpoint.where} proved to be {', '.join(names) or 'nobody'}, expected {self._identity}; nothing was sent. "
                "Check the endpoints in the client config"
            )

    def _live(self) -> tuple[http.client.HTTPConnection, ssl.SSLSocket]:
        if self._sock is None or self._http is None:
            raise ConnectionResetError("the connection was closed")
        return self._http, self._sock

    @staticmethod
    def _stale(sock: ssl.SSLSocket) -> bool:
        """Between requests nothing may come: what is there to read is the player's goodbye."""
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(sock.pending() or poll.poll(0))

    def _left(self, deadline: float) -> float:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Unreachable(f"{self.role} at {self._endpoint.where} did not answer in time")
        return left


class Pair:
    """A connection to alice and one to bob."""

    def __init__(self, alice: Channel, bob: Channel) -> None:
        self.channels = (alice, bob)

    def ask(
        self, method: str, path: str, bodies: tuple[bytes, bytes] = (b"", b""), *, headers: Mapping[str, str] | None = None, limit: int, deadline: float
    ) -> tuple[Reply, Reply]:
        """One request to both at the same time; alice's and bob's reply.

        bodies: alice's and bob's. limit: most bytes of a reply's body. deadline: of the monotonic clock. An error reply of one ends the exchange at once (docs/wire.md says
        what it means: `wire.check` raises it) and drops the connection to the other, which thereby forgets its share. Raises Unreachable, IdentityError, PlayerError.
        """
        try:
            for channel in self.channels:
                channel.connect(deadline)
            self._send(method, path, bodies, headers or {}, deadline)
            return self._collect(limit, deadline)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for channel in self.channels:
            channel.close()

    def _send(self, method: str, path: str, bodies: tuple[bytes, bytes], headers: Mapping[str, str], deadline: float) -> None:
        both = tuple(zip(self.channels, map(memoryview, bodies), strict=True))
        for channel, body in both:
            with _broken(channel, deadline):
                channel.start(method, path, headers, len(body), deadline)
        for at in range(0, max(map(len, bodies)), PIECE):
            for channel, body in both:
                with _broken(channel, deadline):
                    channel.send(body[at : at + PIECE], deadline)

    def _collect(self, limit: int, deadline: float) -> tuple[Reply, Reply]:
        replies: dict[str, Reply] = {}
        waiting = list(self.channels)
        while waiting:
            for channel in _first_readable(waiting, deadline):
                waiting.remove(channel)
                with _broken(channel, deadline):
                    reply = channel.receive(limit, deadline)
                wire.check(reply)
                replies[channel.role] = reply
        alice, bob = (replies[channel.role] for channel in self.channels)
        return alice, bob


class _broken:  # noqa: N801 - a context manager
    """Turns what the socket and the HTTP layer raise into Unreachable, with the player's own explanation if it left one."""

    def __init__(self, channel: Channel, deadline: float) -> None:
        self._channel, self._deadline = channel, deadline

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        role = self._channel.role
        if isinstance(error, TimeoutError):
            raise Unreachable(f"{role} did not answer in time") from error
        if isinstance(error, BrokenPipeError):
            with suppress(OSError, http.client.HTTPException, Unreachable):
                wire.check(self._channel.receive(wire.MAX_JSON, min(self._deadline, time.monotonic() + 1.0)))
        if isinstance(error, OSError | http.client.HTTPException):
            raise Unreachable(f"the connection to {role} was lost: {error!r}") from error


def _first_readable(channels: list[Channel], deadline: float) -> list[Channel]:
    at_hand = [channel for channel in channels if channel.ready_to_read()]
    if at_hand:
        return at_hand
    poll = select.poll()
    by_fd = {channel.fileno(): channel for channel in channels}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
    if not ready:
        raise Unreachable(f"{' and '.join(channel.role for channel in channels)} did not answer in time")
    return [by_fd[fd] for fd, _ in ready]


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
