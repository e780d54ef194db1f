"""Whose request is it: the client's network address, which headers alone must not decide."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest

_FORWARDING = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


def client_address(request: HttpRequest) -> str:
    """The client's IP address, or an empty string if the server does not know it.

    With ``BEHIND_PROXY`` it is the last entry of X-Forwarded-For, the one that our own proxy wrote; what stands before
    it was sent by the client and may be invented. Without, the header is ignored.
    """
    return address_from(request.META)


def address_from(meta: Mapping[str, str]) -> str:
    """The same from WSGI's variables."""
    if settings.BEHIND_PROXY:
        last = meta.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", 1)[-1].strip()
        if _is_address(last):
            return last
    return meta.get("REMOTE_ADDR", "")


def is_this_machine(meta: Mapping[str, str]) -> bool:
    """Whether the request was made on this machine itself; one that a proxy passed on was not."""
    if any(meta.get(name) for name in _FORWARDING):
        return False
    address = meta.get("REMOTE_ADDR", "")
    return _is_address(address) and ip_address(address).is_loopback


def network_of(address: str) -> str:
    """What one limit counts as one client: an IPv4 address, or the /64 network that one IPv6 customer has."""
    if not _is_address(address):
        return address or "unknown"
    parsed = ip_address(address)
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else f"{IPv6Address(int(parsed) >> 64 << 64)}/64"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
