"""Ports for the servers of tests."""

from __future__ import annotations

import socket

_held: list[socket.socket] = []


def held_port() -> int:
    """A port of 127.0.0.1 that nobody else is given while this process lives.

    It is bound but does not listen: whoever connects is refused until a server that sets
    SO_REUSEADDR, as servers do, binds it as well.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    _held.append(holder)
    return int(holder.getsockname()[1])
