"""Takes a webhook in: is it the store's, and is it kept? What it says is for later.

The signature is HMAC-SHA256 over the raw bytes, in base64, with the app's client secret (shopify.dev, "Verify webhook
deliveries"). It is checked before anything of the body is read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from django.db import connection

from apps.core.errors import DomainError
from apps.orders.intake.topics import canonical
from apps.orders.models import Store

MAX_BYTES = 3 * 1024 * 1024
MAX_DEPTH = 100
"""So many objects and lists inside each other are read, far more than any topic has. What one process can just about
read, another, whose stack is deeper, could not read again."""


class NotTheStores(DomainError):
    """The signature is missing or wrong, or there is no such store; which of them is not told."""

    code = "bad_signature"
    message = "The signature does not match."
    status = 401


class TooLong(DomainError):
    """More than a webhook can be."""

    code = "too_large"
    message = f"A webhook has at most {MAX_BYTES} bytes."
    status = 413


class NoDocument(DomainError):
    """Signed by the store, and yet not a JSON object."""

    code = "malformed"
    message = "The body is not a JSON object."
    status = 400


class NoSuchTopic(DomainError):
    """A topic that nobody here reads."""

    code = "unknown_topic"
    message = "This topic is not known here."
    status = 404


def receive(*, topic: str, headers: Mapping[str, str], body: bytes, now: datetime) -> int | None:
    """Keep a webhook.

    Args:
        topic: from the address, or empty; then the header says it.
        headers: of the request, by any case.
        body: the raw bytes.
        now: when it arrived.

    Returns:
        The delivery's key; None if it was kept already.

    Raises:
        NotTheStores, TooLong, NoDocument, NoSuchTopic: as their names say.
    """
    if len(body) > MAX_BYTES:
        raise TooLong
    store = _sender(headers, body)
    if store is None:
        raise NotTheStores
    found = canonical(topic or headers.get("X-Shopify-Topic", ""))
    if not found:
        raise NoSuchTopic
    return _keep(store, found, headers, _document(body), hashlib.sha256(body).hexdigest(), now)


def _sender(headers: Mapping[str, str], body: bytes) -> Store | None:
    """The store that signed this. One that is not named is looked for among all, of which there are few."""
    stores = Store.objects.filter(active=True, platform=Store.Platform.SHOPIFY).only(
        "webhook_secret", "webhook_secret_previous"
    )
    domain = headers.get("X-Shopify-Shop-Domain", "").lower()
    if domain:
        stores = stores.filter(domain=domain)
    given = _signature(headers.get("X-Shopify-Hmac-Sha256", ""))
    signed = None
    for store in stores:
        # Every secret is compared, so that the time does not tell which one came close.
        for secret in (store.webhook_secret, store.webhook_secret_previous):
            if secret and hmac.compare_digest(hmac.digest(secret.encode(), body, "sha256"), given):
                signed = store
    return signed


def _signature(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        raise NoDocument from None
    if not isinstance(found, dict):
        raise NoDocument
    return {_storable(key, 1): _storable(item, 1) for key, item in found.items()}


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if isfinite(number) else _no_number(text)  # 1e999 is well-formed and yet nothing that can be kept


def _storable(value: Any, depth: int) -> Any:
    """A value of a document as jsonb can hold it: without null bytes and halves of surrogate pairs.

    Raises:
        NoDocument: if it is nested too deeply.
    """
    if isinstance(value, str):
        return value if value.isprintable() else value.replace("\0", "").encode(errors="replace").decode()
    if not isinstance(value, dict | list):
        return value
    if depth == MAX_DEPTH:
        raise NoDocument
    if isinstance(value, dict):
        return {_storable(key, depth): _storable(item, depth + 1) for key, item in value.items()}
    return [_storable(item, depth + 1) for item in value]


_INSERT = """
    INSERT INTO orders_webhookdelivery (store_id, webhook_id, event_id, topic, api_version, triggered_at, received_at,
        body, status, attempts, next_attempt_at, last_error)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s::jsonb, 'pending', 0, %s, '')
    ON CONFLICT (store_id, webhook_id) DO NOTHING RETURNING id
"""


def _keep(
    store: Store, topic: str, headers: Mapping[str, str], document: dict[str, Any], digest: str, now: datetime
) -> int | None:
    """One statement, so that two deliveries of the same webhook at the same time make one row."""
    # Without an id the same bytes are the same webhook.
    name = headers.get("X-Shopify-Webhook-Id", "").strip() or f"{topic}:{digest}"
    if len(name) > 80:
        name = hashlib.sha256(name.encode()).hexdigest()
    event, version = headers.get("X-Shopify-Event-Id", "")[:80], headers.get("X-Shopify-API-Version", "")[:20]
    sent = _sent_at(headers.get("X-Shopify-Triggered-At", ""))
    values: list[Any] = [store.pk, name, event, topic, version, sent, now, json.dumps(document), now]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)
        row = cursor.fetchone()
    return row[0] if row else None


def _sent_at(value: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
        # In UTC, because PostgreSQL refuses offsets that Python accepts; the ends of the calendar have none.
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
