"""What happens in an invented shop: an ordinary history, and one scene for each thing that detectors look for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from apps.orders.demo.shop import Buyer, Doc, Shop

HISTORY_DAYS = 120
REFUNDED = 0.015
"""Share of ordinary orders that are refunded."""


def history(shop: Shop, now: datetime, *, per_day: int) -> Iterator[Doc]:
    """Ordinary orders of the last months: sent within a day, delivered in time, seldom refunded."""
    pick = shop.random
    for day in range(HISTORY_DAYS, -1, -1):
        for _ in range(pick.randint(per_day - 4, per_day + 4)):
            at = now - timedelta(days=day, minutes=pick.randint(0, 1439))
            if at > now - timedelta(minutes=5):
                continue
            yield _ordinary(shop, shop.buyer(at), at, now)


def _ordinary(shop: Shop, buyer: Buyer, at: datetime, now: datetime) -> Doc:
    pick = shop.random
    cheap = [place for place, (_, price) in enumerate(shop.products) if float(price) < 300]
    order = shop.order(buyer, at, chosen=pick.sample(cheap, pick.choice((1, 1, 2))))
    sent = at + timedelta(hours=pick.randint(3, 40))
    if sent > now:
        return order
    limit = {"Overnight": 20, "Express": 60}.get(order["shipping_lines"][0]["title"], 100)
    arrived = sent + timedelta(hours=pick.randint(limit // 3, limit))
    shop.parcel(order, sent, arrived=arrived if arrived < now else None)
    back = arrived + timedelta(days=pick.randint(2, 12))
    if pick.random() < REFUNDED and back < now:
        shop.refund(order, back, note=pick.choice(("changed my mind", "too small", "arrived late", "duplicate")))
    return order


def ageing(shop: Shop, now: datetime) -> Iterator[Doc]:
    """Orders that wait for too long, of every tier."""
    for days in (3.5, 4.2, 5.5, 6.1, 7.5, 9.0, 12.0):
        at = now - timedelta(days=days)
        yield shop.order(shop.buyer(at), at)


def late_parcels(shop: Shop, now: datetime) -> Iterator[Doc]:
    """Parcels on their way for too long, by every shipping method."""
    for speed, days in (
        ("Standard", 6),
        ("Standard", 8),
        ("Standard", 11),
        ("Express", 4),
        ("Express", 5),
        ("Overnight", 2),
    ):
        at = now - timedelta(days=days + 1, hours=3)
        order = shop.order(shop.buyer(at), at, speed=speed)
        shop.parcel(order, at + timedelta(hours=20))
        yield order


def refunds(shop: Shop, now: datetime) -> Iterator[Doc]:
    """One customer, one product and one large sum; and more refunds than usual in the last two days."""
    regular = shop.buyer(now - timedelta(days=60), known=0)
    for days in (40, 30, 21, 9):
        yield _returned(shop, regular, now - timedelta(days=days), now - timedelta(days=days - 6), "not as described")
    faulty = 2
    for place in range(9):
        at = now - timedelta(days=8, hours=place)
        yield _returned(
            shop, shop.buyer(at, known=0), at, now - timedelta(hours=26 + place * 2), "flickers", chosen=[faulty]
        )
    at = now - timedelta(days=15)
    yield _returned(shop, shop.buyer(at), at, now - timedelta(hours=5), "damaged", chosen=[6])
    for place in range(5):
        at = now - timedelta(days=4 + place)
        yield _returned(shop, shop.buyer(at), at, now - timedelta(minutes=20 + place * 7), "arrived broken")


def _returned(shop: Shop, buyer: Buyer, at: datetime, back: datetime, note: str, **changes: Any) -> Doc:
    order = shop.order(buyer, at, speed="Standard", **changes)
    shop.parcel(order, at + timedelta(hours=10), arrived=min(at + timedelta(days=2), back - timedelta(minutes=5)))
    shop.refund(order, back, note=note)
    return order


def fraud(shop: Shop, now: datetime) -> Iterator[Doc]:
    """Many orders at once, other countries, a large first order, many names, many cancellations."""
    hasty = shop.buyer(now, known=0)
    for place in range(8):
        yield shop.order(hasty, now - timedelta(minutes=15 + 9 * place))
    at = now - timedelta(hours=4)
    traveller = shop.buyer(at, known=0)
    elsewhere = traveller.address(country_code="NG", address1="14 Marina Road", zip="101001")
    yield shop.order(traveller, at, total="412.00", shipping_address=elsewhere,
                     note_attributes=[{"name": "ip_country", "value": "RO"}])  # fmt: skip
    stranger = shop.buyer(now, known=0)
    yield shop.order(stranger, now - timedelta(hours=2), chosen=[6], total="2340.00")
    for place, name in enumerate(
        ("Al Stone", "Bea Stone", "Carl Moor", "Dee Fox", "Ed Marsh", "Flo Heath", "Gil Reed")
    ):
        one = shop.buyer(now, known=0)
        address = {**one.address(), "name": name, "address1": "77 Dock Road", "zip": "40404"}
        yield shop.order(one, now - timedelta(days=1 + place), billing_address=address, shipping_address=address)
    undecided = shop.buyer(now - timedelta(days=20), known=0)
    for days in (18, 13, 8, 4, 2):
        at = now - timedelta(days=days)
        gone = (at + timedelta(hours=6)).isoformat()
        yield shop.order(undecided, at, cancelled_at=gone, updated_at=gone, cancel_reason="customer",
                         financial_status="voided")  # fmt: skip


def failed_payments(shop: Shop, now: datetime) -> Iterator[Doc]:
    """Somebody tries one card again and again."""
    tester = shop.buyer(now, known=0)
    for place in range(3):
        at = now - timedelta(hours=3, minutes=10 * place)
        order = shop.order(tester, at, financial_status="pending")
        total = order["total_price"]
        order["transactions"] = [
            shop.payment(order["id"], tester, at + timedelta(minutes=attempt), total, status="failure")
            for attempt in range(3)
        ]
        yield order


def doubtful(shop: Shop, now: datetime) -> Iterator[tuple[Doc, str, str]]:
    """Orders that the platform warns of, with its level and recommendation."""
    for hours, level, recommendation in ((6, "high", "cancel"), (11, "medium", "investigate")):
        at = now - timedelta(hours=hours)
        yield shop.order(shop.buyer(at, known=0), at), level, recommendation
