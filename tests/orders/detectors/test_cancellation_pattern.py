"""Cancellation pattern: whose cancellations count, and how large a share they must be."""

from datetime import timedelta
from typing import Any

import pytest

from apps.orders.models import Customer
from tests.orders.detectors.conftest import DAY, NOW, Shop, judge

SLUG = "cancellation-pattern"


def cancel(shop: Shop, count: int, age: timedelta = DAY, **fields: Any) -> list[int]:
    defaults = {"cancelled_at": NOW - age, "cancel_reason": "customer"}
    return [shop.order(age + DAY, **(defaults | fields)).pk for _ in range(count)]


def orders_of(shop: Shop, count: int, **fields: Any) -> Customer:
    customer = shop.customer()
    cancel(shop, count, customer=customer, **fields)
    return customer


@pytest.mark.parametrize(("count", "tier"), [(2, None), (3, "low"), (5, "low"), (6, "safety")])
def test_limit(shop: Shop, count: int, tier: str | None) -> None:
    customer = orders_of(shop, count)
    hits = judge(SLUG)
    assert [(hit.subject, hit.tier) for hit in hits] == ([(f"customer:{customer.pk}", tier)] if tier else [])


@pytest.mark.parametrize(("kept", "hits"), [(3, 1), (4, 0)])
def test_half_of_the_orders(shop: Shop, kept: int, hits: int) -> None:
    customer = orders_of(shop, 3)
    for _ in range(kept):
        shop.order(customer=customer)
    shop.order(40 * DAY, customer=customer)
    assert len(judge(SLUG)) == hits


@pytest.mark.parametrize(("kind", "limit"), [("payment", 3), ("address", 3), ("ip", 6)])
def test_limits_per_digest(shop: Shop, kind: str, limit: int) -> None:
    cancel(shop, limit - 1, **{f"{kind}_key": "abc"})
    assert judge(SLUG) == []
    cancel(shop, 1, **{f"{kind}_key": "abc"})
    (hit,) = judge(SLUG)
    assert (hit.subject, hit.scope_id) == (f"{kind}:{shop.store.pk}:abc", shop.store.scope_id)
    assert (hit.data["cancellationCount"], hit.expected_impact) == (limit, 100 * limit)


@pytest.mark.parametrize(("reason", "hits"), [("customer", 1), ("", 1), ("fraud", 1), ("inventory", 0), ("staff", 0)])
def test_the_stores_own_reasons_do_not_count(shop: Shop, reason: str, hits: int) -> None:
    orders_of(shop, 3, cancel_reason=reason)
    assert len(judge(SLUG)) == hits


@pytest.mark.parametrize(("age", "hits"), [(30 * DAY, 0), (30 * DAY - timedelta(seconds=1), 1), (-DAY, 0)])
def test_window(shop: Shop, age: timedelta, hits: int) -> None:
    orders_of(shop, 3, age=age)
    assert len(judge(SLUG)) == hits


def test_settings_change_the_finding(shop: Shop) -> None:
    customer = orders_of(shop, 2, age=20 * DAY)
    shop.order(customer=customer)
    assert len(judge(SLUG, cancellations=2)) == 1
    assert judge(SLUG, cancellations=2, share=0.7) == []
    assert judge(SLUG, cancellations=2, window_days=20) == []


def test_event_judges_only_the_touched(shop: Shop) -> None:
    first = cancel(shop, 3, payment_key="a")
    cancel(shop, 3, payment_key="b")
    hits = judge(SLUG, subjects={f"order:{first[0]}"})
    assert [hit.subject for hit in hits] == [f"payment:{shop.store.pk}:a"]


def test_the_number_of_queries_does_not_grow(shop: Shop, django_assert_num_queries: Any) -> None:
    for _ in range(4):
        orders_of(shop, 3)
    with django_assert_num_queries(7):
        assert len(judge(SLUG)) == 4
