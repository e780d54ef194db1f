"""Who a page says its visitor is: signed by the page's server, so that nobody can say to be somebody else.

``payload.signature``: the payload is JSON with ``id`` and ``exp`` (seconds since 1970), and ``name`` and ``email`` if
they are known, in base64 for addresses without padding; the signature is the HMAC-SHA256 of the payload as it is
written, with the site's secret, encoded in the same way.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from apps.chat.refusals import IdentityRefused

LONGEST = 2_000
LONGEST_LIFE = 7 * 24 * 3600
"""Seconds that a signature may be valid: one that was stolen must not be good for ever."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A visitor as the page's server knows it.

    Attributes:
        id: of the page's own user.
        name, email: empty where the page did not say them.
    """

    id: str
    name: str
    email: str


def sign(secret: str, payload: dict[str, Any]) -> str:
    """What a page's server does; for the demo and for tests."""
    body = _encoded(json.dumps(payload, separators=(",", ":")).encode())
    return f"{body}.{_signature(secret, body)}"


def read(secret: str, signed: str, now: datetime) -> Identity:
    """Who it is.

    Args:
        secret: of the site; where it is empty, the site knows no identities.

    Raises:
        IdentityRefused: the signature is wrong or too old, or the payload is no identity.
    """
    body, _, signature = signed.partition(".")
    if not secret or len(signed) > LONGEST or not signed.isascii():
        raise IdentityRefused
    if not hmac.compare_digest(_signature(secret, body), signature):
        raise IdentityRefused
    try:
        payload = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise IdentityRefused from None
    return _identity(payload, now.timestamp())


def _identity(payload: Any, now: float) -> Identity:
    if not isinstance(payload, dict):
        raise IdentityRefused
    ends = payload.get("exp")
    if isinstance(ends, bool) or not isinstance(ends, int | float) or not now < ends <= now + LONGEST_LIFE:
        raise IdentityRefused
    key = payload.get("id")
    if isinstance(key, bool) or not isinstance(key, str | int) or not 0 < len(str(key).strip()) <= 200:
        raise IdentityRefused
    return Identity(_clean(key, 200), _clean(payload.get("name"), 120), _email(payload.get("email")))


def _clean(value: object, length: int) -> str:
    if not isinstance(value, str | int):
        return ""
    plain = "".join(sign for sign in str(value) if sign.isprintable())
    return plain.encode("utf-8", "ignore").decode().strip()[:length]


def _email(value: object) -> str:
    address = _clean(value, 254)
    try:
        validate_email(address)
    except ValidationError:
        return ""
    return address


def _signature(secret: str, body: str) -> str:
    return _encoded(hmac.digest(secret.encode(), body.encode(), hashlib.sha256))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
