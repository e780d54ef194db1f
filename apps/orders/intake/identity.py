"""Keyed digests, by which the same address, browser or card is recognised without being kept.

HMAC-SHA256 with a key derived from ``SECRET_KEY``; without the key a digest cannot be guessed back from the few billion
IP addresses or the known postal addresses. A new ``SECRET_KEY`` makes new digests, so patterns begin anew.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from functools import lru_cache

from django.conf import settings

_SEPARATORS = re.compile(r"[\W_]+")


@lru_cache(maxsize=4)
def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"riskdesk.orders.identity", "sha256")


def digest(kind: str, *parts: str) -> str:
    """The digest of what identifies something; empty if every part is.

    Args:
        kind: keeps equal texts of different kinds apart, such as ``address``.
        parts: compared without case, accents, spaces and punctuation.
    """
    plain = [_plain(part) for part in parts]
    if not any(plain):
        return ""
    message = "\x1f".join([kind, *plain]).encode()
    return hmac.new(_key(settings.SECRET_KEY), message, hashlib.sha256).hexdigest()


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return _SEPARATORS.sub("", "".join(letter for letter in decomposed if not unicodedata.combining(letter)))
