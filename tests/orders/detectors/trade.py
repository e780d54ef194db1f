"""Months of trade for tests of refund statistics, made in a few statements."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from apps.orders.models import Order, OrderLine, Product, Refund, RefundLine, Store
from tests.orders.detectors.conftest import DAY, NOW, Shop


def shop_of_files(**fields: object) -> Shop:
    """A shop whose refunds carry no transactions, as those of imported files."""
    return Shop(platform=Store.Platform.FILE, **fields)


def trade(shop: Shop, days: int, orders: int, *, product: Product | None = None, until: int = 0) -> list[list[Order]]:
    """Orders on each of the last complete days, oldest first; ``until`` days before today are left out."""
    made = []
    for back in range(days + until, until, -1):
        at = NOW - back * DAY
        made.append([
            Order(
                store=shop.store, external_id=f"{shop.store.pk}-{product and product.pk}-{back}-{n}", number=f"#{back}-{n}",
                currency="USD", total=Decimal(100), created_at=at, updated_at=at, synced_at=at,
            )
            for n in range(orders)
        ])  # fmt: skip
    flat = Order.objects.bulk_create([order for day in made for order in day])
    if product:
        OrderLine.objects.bulk_create(
            OrderLine(order=order, external_id="1", product=product, title="x", quantity=1, price=100) for order in flat
        )
    return made


def give_back(orders: list[Order], *, lag: int, product: Product | None = None) -> None:
    """Refund orders, each so many days after it was placed."""
    refunds = Refund.objects.bulk_create(
        Refund(
            order=order, store=order.store, external_id=f"r{order.pk}", amount=50, currency="USD",
            created_at=order.created_at + lag * DAY + timedelta(minutes=5), synced_at=NOW,
        )
        for order in orders
    )  # fmt: skip
    if product:
        RefundLine.objects.bulk_create(
            RefundLine(refund=refund, external_id="1", product=product, quantity=1, amount=50) for refund in refunds
        )
