"""A shop that speaks to us: its documents in the platform's REST shape, and its signed webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

from tests.orders.factories import NOW, SECRET


def sign(body: bytes, secret: str = SECRET) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def post(
    client: Any, topic: str, document: Any, *, domain: str, webhook_id: str = "w1", secret: str = SECRET, **headers: str
) -> Any:
    """Send a signed webhook, its topic in the header."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    sent = {
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-Sha256": sign(body, secret),
        "X-Shopify-Shop-Domain": domain,
        "X-Shopify-Webhook-Id": webhook_id,
        **headers,
    }
    named = {key: value for key, value in sent.items() if value}
    return client.post("/webhooks/shopify", data=body, content_type="application/json", headers=named)


def order(number: int = 1001, *, at: datetime = NOW, **changes: Any) -> dict[str, Any]:
    """An order of one lamp."""
    return {
        "id": 450_000_000 + number,
        "name": f"#{number}",
        "email": "ada@example.com",
        "created_at": (at - timedelta(days=1)).isoformat(),
        "updated_at": at.isoformat(),
        "cancelled_at": None,
        "closed_at": None,
        "currency": "USD",
        "total_price": "120.00",
        "financial_status": "paid",
        "fulfillment_status": None,
        "browser_ip": "203.0.113.9",
        "tags": "vip, gift",
        "customer": {"id": 7001, "first_name": "Ada", "last_name": "Example", "email": "ada@example.com"},
        "billing_address": {"name": "Ada Example", "address1": "1 Main St", "zip": "10001", "country_code": "US"},
        "shipping_address": {"name": "Ada Example", "address1": "1 Main St", "zip": "10001", "country_code": "US"},
        "shipping_lines": [{"title": "Express", "code": "EXP"}],
        "line_items": [{"id": 61, "product_id": 81, "title": "Lamp", "quantity": 2, "price": "60.00"}],
        **changes,
    }


def refund(number: int = 1001, *, amount: str = "60.00", status: str = "success", at: datetime = NOW) -> dict[str, Any]:
    """A refund of one lamp."""
    order_id = 450_000_000 + number
    return {
        "id": 31,
        "order_id": order_id,
        "created_at": at.isoformat(),
        "note": "broken",
        "refund_line_items": [{"id": 91, "line_item_id": 61, "quantity": 1, "subtotal": amount}],
        "transactions": [
            {"id": 41, "order_id": order_id, "kind": "refund", "status": status, "amount": amount, "currency": "USD",
             "created_at": at.isoformat()}
        ],
    }  # fmt: skip


def parcel(number: int = 1001, *, at: datetime = NOW, **changes: Any) -> dict[str, Any]:
    """A parcel on its way."""
    return {
        "id": 51,
        "order_id": 450_000_000 + number,
        "status": "success",
        "shipment_status": None,
        "created_at": at.isoformat(),
        "updated_at": at.isoformat(),
        "tracking_company": "UPS",
        "tracking_number": "1Z1",
        "tracking_url": "https://example.com/1Z1",
        **changes,
    }
