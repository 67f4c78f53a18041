"""Which addresses artifacts may be fetched from."""

from __future__ import annotations

import ipaddress
import socket

from securemodel_share.errors import Reason, ShareError

from .base import Source

NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


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


def checked_addresses(host: str, port: int, source: Source) -> list[str]:
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
            f"{host} does not resolve; check {source.field}.uri, it is tried again",
            retryable=True,
        ) from None
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    for address in addresses:
        if not check_address(
            ipaddress.ip_address(address.split("%")[0]), allow_loopback=source.allow_loopback
        ):
            message = (
                f"{host} is at {address}, a link-local, loopback or multicast address, from "
                "where nothing is fetched; give the artifact store's own address"
            )
            raise ShareError(Reason.FETCH_FAILED, message)
    return addresses
