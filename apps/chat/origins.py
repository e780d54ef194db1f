"""Which pages may carry a site's chat: asked for the page, for each request and for each socket."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from apps.chat.models import ChatSite


def allowed(site: ChatSite, origin: str) -> bool:
    """Whether a page of this origin may use the site's chat.

    Args:
        origin: the Origin header, such as ``https://shop.example.com``; case does not matter, all else does.
    """
    return bool(origin) and origin.lower() in {each.lower().rstrip("/") for each in site.allowed_origins}


def ours(origin: str, host: str) -> bool:
    """Whether it is the origin of a page that this server itself serves under the host name it was asked by.

    Args:
        host: the Host header; believed only if it is one of ``ALLOWED_HOSTS``.
    """
    parts = urlsplit(origin.lower())
    name, _port = split_domain_port(host.lower())
    known = settings.ALLOWED_HOSTS or ([".localhost", "127.0.0.1", "[::1]"] if settings.DEBUG else [])
    schemes = {"https"} if settings.USE_HTTPS else {"http", "https"}
    return parts.scheme in schemes and parts.netloc == host.lower() and bool(name) and validate_host(name, known)


def may_speak(site: ChatSite, origin: str, host: str) -> bool:
    """Either of the two."""
    return allowed(site, origin) or ours(origin, host)
