"""A small shop for detector tests: rows with sensible defaults, placed in time by age."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.actions.rules import Hit, RuleSettings, Subjects, rules
from apps.core.models import Scope
from apps.core.rules import Registry
from apps.orders.models import (
    Customer,
    Fulfillment,
    Order,
    OrderLine,
    Product,
    Refund,
    RefundLine,
    Store,
    Transaction,
)  # fmt: skip

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
DAY = timedelta(days=1)
_numbers = itertools.count(1)


class Shop:
    """Builds rows of one store."""

    def __init__(self, **fields: Any) -> None:
        n = next(_numbers)
        scope = Scope.objects.create(slug=f"shop-{n}", name=f"Shop {n}")
        defaults: dict[str, Any] = {"platform": "shopify", "domain": f"shop{n}.example.com", "name": f"Shop {n}"}
        self.store = Store.objects.create(scope=scope, **(defaults | fields))

    def customer(self, name: str = "Ada Example") -> Customer:
        n = next(_numbers)
        return Customer.objects.create(store=self.store, external_id=str(n), name=name, updated_at=NOW)

    def product(self, title: str = "Lamp") -> Product:
        return Product.objects.create(store=self.store, external_id=str(next(_numbers)), title=title)

    def order(self, age: timedelta = DAY, **fields: Any) -> Order:
        n = next(_numbers)
        at = NOW - age
        defaults: dict[str, Any] = {
            "external_id": str(n), "number": f"#{n}", "currency": self.store.currency, "total": Decimal("100.00"),
            "financial_status": "paid", "created_at": at, "updated_at": at, "synced_at": at,
        }  # fmt: skip
        return Order.objects.create(store=self.store, **(defaults | fields))

    def parcel(self, age: timedelta, order: Order | None = None, **fields: Any) -> Fulfillment:
        order = order or self.order(age + DAY, fulfillment_status="fulfilled")
        at = NOW - age
        defaults: dict[str, Any] = {
            "external_id": str(next(_numbers)), "status": "in_transit", "tracking_number": "T1", "created_at": at,
            "updated_at": at, "synced_at": at,
        }  # fmt: skip
        return Fulfillment.objects.create(order=order, **(defaults | fields))

    def refund(
        self, order: Order, age: timedelta = timedelta(hours=1), *, product: Product | None = None,
        status: str = "success", **fields: Any,
    ) -> Refund:  # fmt: skip
        at = NOW - age
        defaults: dict[str, Any] = {
            "external_id": str(next(_numbers)), "amount": Decimal("50.00"), "currency": order.currency,
            "created_at": at, "synced_at": at, "customer": order.customer,
        }  # fmt: skip
        refund = Refund.objects.create(order=order, store=self.store, **(defaults | fields))
        self.payment(order, age, kind="refund", status=status, refund=refund)
        if product:
            number = str(next(_numbers))
            line = OrderLine.objects.create(
                order=order, external_id=number, product=product, title=product.title, quantity=1, price=refund.amount
            )
            RefundLine.objects.create(
                refund=refund, external_id=number, order_line=line, product=product, quantity=1, amount=refund.amount
            )
        return refund

    def payment(self, order: Order, age: timedelta = DAY, **fields: Any) -> Transaction:
        defaults: dict[str, Any] = {
            "external_id": str(next(_numbers)), "kind": "sale", "status": "success", "amount": order.total,
            "currency": order.currency, "created_at": NOW - age,
        }  # fmt: skip
        return Transaction.objects.create(order=order, **(defaults | fields))


def judge(slug: str, *, now: datetime = NOW, subjects: set[str] | None = None, **settings: Any) -> list[Hit]:
    """The hits of a rule with some settings changed."""
    rule = discovered()[slug]
    chosen: RuleSettings = rule.settings(**settings)
    which = None if subjects is None else Subjects(frozenset(subjects))
    return list(rule.detect(now=now, settings=chosen, subjects=which))


def discovered() -> Registry:
    """The registry with this app's detectors in it."""
    rules.discover("apps.orders.detectors")
    return rules


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop()
