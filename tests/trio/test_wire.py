"""Reads every byte between client, players and share step.

It is TLS and nothing else, and no planted weight or input is in it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from pathlib import Path

import numpy as np

import networks
from trio import ROLES, Trio

PLANTED_WEIGHT = 0.7283019
PLANTED_INPUT = 0.6172839
TLS_CONTENT_TYPES = {20, 21, 22, 23}
LONGEST_RECORD = (1 << 14) + 256


class Relay:
    """Forwards connections to a port and keeps each direction's bytes."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.streams: list[bytearray] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                for source, sink in ((near, far), (far, near)):
                    stream = bytearray()
                    self.streams.append(stream)
                    threading.Thread(
                        target=self._pump, args=(source, sink, stream), daemon=True
                    ).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, stream: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                stream.extend(data)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def tls_only(stream: bytes) -> bool:
    """Whether the stream is whole TLS records from the first byte on (the last may be cut off)."""
    at = 0
    while at + 5 <= len(stream):
        kind, version, length = struct.unpack(">BHH", stream[at : at + 5])
        known = kind in TLS_CONTENT_TYPES and version in (0x0301, 0x0303)
        if not known or length > LONGEST_RECORD:
            return False
        at += 5 + length
    return at > 0


def patterns(value: float) -> list[bytes]:
    """The bytes of a value: both widths of float, fixed point, both byte orders, and text."""
    fixed = round(value * 2**16)
    found = [
        struct.pack(order + kind, number)
        for order in "<>"
        for kind, number in (("f", value), ("d", value), ("q", fixed))
    ]
    return [*found, f"{value:.5f}".encode()]


def test_every_byte_is_tls_and_no_secret_is_in_it(tmp_path: Path) -> None:
    layers = [networks.conv(4), networks.pool(), networks.RELU, networks.FLATTEN, networks.dense(3)]
    model = tmp_path / "model.h5"
    model.write_bytes(
        networks.keras_file((10, 10, 1), layers, lambda shape: np.full(shape, PLANTED_WEIGHT))
    )
    inputs = np.full((8, 10, 10, 1), PLANTED_INPUT)
    trio = Trio(tmp_path)
    relays: dict[tuple[str, str], Relay] = {}
    for holder in (*ROLES, "share", "client"):
        for role in ROLES:
            relays[holder, role] = Relay(trio.ports[role])
        trio.clusters[holder] = {role: f"127.0.0.1:{relays[holder, role].port}" for role in ROLES}

    with trio:
        shared = trio.share(model)
        assert shared.returncode == 0, shared.stderr
        trio.wait_ready()
        with trio.client() as served:
            for _ in range(5):
                served.predict(inputs)
        players = {("bob", "alice"), ("carol", "alice"), ("carol", "bob")}
        client = {("client", "alice"), ("client", "bob")}
        expected_links = players | client | {("share", role) for role in ROLES}
        used = {pair for pair, relay in relays.items() if any(relay.streams)}
        assert used == expected_links, "every link leads through a relay"
        trio.kill("carol")

    streams = [bytes(stream) for relay in relays.values() for stream in relay.streams if stream]
    assert sum(map(len, streams)) > 300_000
    for pair, relay in relays.items():
        for stream in relay.streams:
            assert not stream or tls_only(bytes(stream)), pair

    # a short pattern may be in so many random bytes by chance; two are not, and the planted values
    # stand side by side
    for value in (PLANTED_WEIGHT, PLANTED_INPUT):
        for pattern in patterns(value):
            doubled = pattern * (2 if len(pattern) < 8 else 1)
            assert not any(doubled in stream for stream in streams), pattern
    for relay in relays.values():
        relay.close()


def test_the_check_would_see_plain_bytes() -> None:
    assert not tls_only(b"GET / HTTP/1.1\r\n\r\n")
    assert not tls_only(struct.pack(">BHH", 23, 0x0303, 2) + b"ab" + b"plain text")
    assert tls_only(
        struct.pack(">BHH", 22, 0x0301, 2) + b"ab" + struct.pack(">BHH", 23, 0x0303, 1) + b"c"
    )
