"""Which network addresses are public: a place that somebody typed in must not lead into our own network."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")  # RFC 8215


class PrivateAddress(Exception):
    """A host has an address that is not public."""


class UnknownHost(Exception):
    """A host has no address, or the name servers do not answer."""


def is_public(text: str) -> bool:
    """Whether an IP address is one of the public internet. Whatever hides an IPv4 address is judged by that.

    Raises:
        ValueError: it is no IP address.
    """
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        if address.teredo or address in _NAT64_LOCAL:
            return False
        if hidden := _hidden(address):
            address = hidden
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _hidden(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def addresses(host: str, port: int) -> list[str]:
    """The network addresses of a host name, in the system's order.

    Raises:
        UnknownHost: there is none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnknownHost from None
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def public_address(host: str, port: int) -> str:
    """An address to connect to. A name that leads to a private address, too, is refused as a whole.

    Raises:
        PrivateAddress: the host has an address that is not public.
        UnknownHost: it has none.
    """
    found = addresses(host, port)
    if not all(map(is_public, found)):
        raise PrivateAddress
    # Not every machine has IPv6; an IPv4 address, where there is one, is reached from everywhere.
    return min(found, key=lambda text: ":" in text)
