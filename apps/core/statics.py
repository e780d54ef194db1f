"""Headers of static files."""

from __future__ import annotations

from wsgiref.headers import Headers

EMBEDDED = "/chat/"
"""Part of the addresses of files that pages of other origins load: the chat's widget."""


def for_other_pages(headers: Headers, path: str, url: str) -> None:
    """Let pages of other origins load what is made for them; all else stays with this one.

    Args:
        path: of the file.
        url: under which it is served.
    """
    if EMBEDDED in url:
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
