"""A lively shop: an endless stream of what happens in it, as the webhooks that it would send."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from apps.orders.demo.shop import Buyer, Doc, Shop

Said = tuple[str, Doc]
"""A topic and its document."""


@dataclass(slots=True)
class Lively:
    """What goes on in a shop.

    Args:
        shop: whose numbers must not meet those of orders that exist.
        clock: tells the time of the news.
    """

    shop: Shop
    clock: Callable[[], datetime]
    orders: list[Doc] = field(default_factory=list)
    parcels: list[Doc] = field(default_factory=list)

    def stream(self) -> Iterator[Said]:
        """News without end, mostly ordinary; about one in ten happenings is one that a rule looks for."""
        while True:
            yield from self.shop.random.choices(
                (self._ordered, self._sent, self._moved, self._refunded, self._cancelled, self._hasty, self._tester,
                 self._stranger, self._late),
                (50, 20, 14, 4, 3, 1, 1, 2, 5),
            )[0]()  # fmt: skip

    def _keep(self, order: Doc) -> Doc:
        self.orders = [*self.orders[-200:], order]
        return order

    def _taken(self) -> Doc | None:
        """Some order that nothing happened to yet; it is not chosen again."""
        if not self.orders:
            return None
        return self.orders.pop(self.shop.random.randrange(len(self.orders)))

    def _ordered(self) -> Iterator[Said]:
        now = self.clock()
        buyer = self.shop.buyer(now)
        if buyer.since >= now - timedelta(days=1):
            yield "customers/create", self._new_customer(buyer, now)
        order = self._keep(self.shop.order(buyer, now))
        yield "orders/create", order
        for payment in order["transactions"]:
            yield "order_transactions/create", payment

    def _new_customer(self, buyer: Buyer, now: datetime) -> Doc:
        first, _, last = buyer.name.partition(" ")
        return {
            "id": buyer.id, "first_name": first, "last_name": last, "email": buyer.email,
            "created_at": now.isoformat(), "updated_at": now.isoformat(),
        }  # fmt: skip

    def _sent(self) -> Iterator[Said]:
        order = self._taken()
        if order:
            parcel = self.shop.parcel(order, self.clock())
            self.parcels = [*self.parcels[-100:], parcel]
            yield "fulfillments/create", parcel
            yield "orders/updated", {**order, "updated_at": self.clock().isoformat()}

    def _moved(self) -> Iterator[Said]:
        if self.parcels:
            parcel = self.shop.random.choice(self.parcels)
            status = self.shop.random.choice(("in_transit", "out_for_delivery", "delivered"))
            if status == "delivered":
                self.parcels.remove(parcel)
            now = self.clock().isoformat()
            yield "fulfillment_events/create", {
                "id": self.shop.next_id(), "order_id": parcel["order_id"], "fulfillment_id": parcel["id"],
                "status": status, "happened_at": now, "created_at": now,
            }  # fmt: skip

    def _refunded(self) -> Iterator[Said]:
        order = self._taken()
        if order:
            yield "refunds/create", self.shop.refund(order, self.clock(), note="changed my mind")

    def _cancelled(self) -> Iterator[Said]:
        order = self._taken()
        if order:
            now = self.clock().isoformat()
            yield "orders/cancelled", {**order, "cancelled_at": now, "updated_at": now, "cancel_reason": "customer"}

    def _hasty(self) -> Iterator[Said]:
        """One buyer orders again and again."""
        buyer = self.shop.buyer(self.clock(), known=0)
        for _ in range(7):
            yield "orders/create", self._keep(self.shop.order(buyer, self.clock()))

    def _tester(self) -> Iterator[Said]:
        """Somebody tries a card."""
        buyer = self.shop.buyer(self.clock(), known=0)
        order = self.shop.order(buyer, self.clock(), financial_status="pending", transactions=[])
        yield "orders/create", order
        for _ in range(6):
            yield (
                "order_transactions/create",
                self.shop.payment(order["id"], buyer, self.clock(), order["total_price"], status="failure"),
            )

    def _stranger(self) -> Iterator[Said]:
        """Somebody unknown orders for much money, to another country, and the platform warns."""
        buyer = self.shop.buyer(self.clock(), known=0)
        elsewhere = buyer.address(country_code="NG", address1="14 Marina Road", zip="101001")
        order = self.shop.order(buyer, self.clock(), total="2340.00", shipping_address=elsewhere)
        yield "orders/create", order
        yield "orders/risk_assessment_changed", {
            "order_id": order["id"], "risk_level": "high", "provider_title": "Demo risk service",
            "created_at": self.clock().isoformat(),
        }  # fmt: skip

    def _late(self) -> Iterator[Said]:
        """An old order that nobody had told of."""
        at = self.clock() - timedelta(days=self.shop.random.choice((4, 6, 8)))
        yield "orders/updated", self.shop.order(self.shop.buyer(at), at, updated_at=self.clock().isoformat())


def signed(
    topic: str, document: Any, *, domain: str, secret: str, webhook_id: str, at: datetime
) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a webhook as the platform sends it."""
    body = json.dumps(document).encode()
    signature = base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()
    return body, {
        "Content-Type": "application/json",
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-Sha256": signature,
        "X-Shopify-Shop-Domain": domain,
        "X-Shopify-Webhook-Id": webhook_id,
        "X-Shopify-Event-Id": webhook_id,
        "X-Shopify-API-Version": "2026-07",
        "X-Shopify-Triggered-At": at.isoformat(),
    }
