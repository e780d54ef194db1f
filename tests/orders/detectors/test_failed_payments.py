"""Failed payments: which count, for whom, and how many are too many."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.orders.models import Order
from tests.orders.detectors.conftest import DAY, NOW, Shop, judge

HOUR = timedelta(hours=1)


def fail(shop: Shop, order: Order, times: int, age: timedelta = HOUR, **fields: Any) -> None:
    for _ in range(times):
        shop.payment(order, age, **({"status": "failure"} | fields))


@pytest.mark.parametrize(("failures", "tier"), [(3, None), (4, "safety"), (7, "safety"), (8, "policy")])
def test_limit_per_customer(shop: Shop, failures: int, tier: str | None) -> None:
    order = shop.order(customer=shop.customer(), total=Decimal("80.00"))
    fail(shop, order, failures)
    hits = judge("failed-payments")
    assert [(hit.subject, hit.tier) for hit in hits] == ([(f"customer:{order.customer_id}", tier)] if tier else [])
    assert [hit.expected_impact for hit in hits] == ([Decimal("80.00")] if tier else [])


@pytest.mark.parametrize(("kind", "limit"), [("payment", 5), ("address", 5), ("ip", 6)])
def test_limits_per_digest_over_several_guests(shop: Shop, kind: str, limit: int) -> None:
    orders = [shop.order(**{f"{kind}_key": "abc"}) for _ in range(limit)]
    for order in orders[1:]:
        fail(shop, order, 1)
    assert judge("failed-payments") == []
    fail(shop, orders[0], 1)
    (hit,) = judge("failed-payments")
    assert (hit.subject, hit.scope_id) == (f"{kind}:{shop.store.pk}:abc", shop.store.scope_id)
    assert (hit.data["failureCount"], hit.data["orderCount"]) == (limit, limit)


@pytest.mark.parametrize(
    ("fields", "hits"),
    [
        ({"status": "error"}, 1), ({"kind": "authorization"}, 1), ({"kind": "capture"}, 1), ({"kind": "refund"}, 0),
        ({"kind": "void"}, 0), ({"status": "success"}, 0), ({"status": "pending"}, 0),
    ],
)  # fmt: skip
def test_which_transactions_count(shop: Shop, fields: dict[str, Any], hits: int) -> None:
    fail(shop, shop.order(customer=shop.customer()), 4, **fields)
    assert len(judge("failed-payments")) == hits


@pytest.mark.parametrize(("age", "hits"), [(DAY, 0), (DAY - timedelta(seconds=1), 1), (-HOUR, 0)])
def test_window(shop: Shop, age: timedelta, hits: int) -> None:
    fail(shop, shop.order(5 * DAY, customer=shop.customer()), 4, age)
    assert len(judge("failed-payments")) == hits


def test_deleted_orders_do_not_count(shop: Shop) -> None:
    fail(shop, shop.order(customer=shop.customer(), deleted_at=NOW), 4)
    assert judge("failed-payments") == []


def test_settings_change_the_finding(shop: Shop) -> None:
    fail(shop, shop.order(customer=shop.customer()), 2, 30 * HOUR)
    assert judge("failed-payments", customer_failures=2) == []
    assert judge("failed-payments", window_hours=48) == []
    assert len(judge("failed-payments", customer_failures=2, window_hours=48)) == 1


def test_event_judges_only_the_touched(shop: Shop) -> None:
    orders = [shop.order(customer=shop.customer()) for _ in range(2)]
    for order in orders:
        fail(shop, order, 4)
    hits = judge("failed-payments", subjects={f"order:{orders[0].pk}"})
    assert [hit.subject for hit in hits] == [f"customer:{orders[0].customer_id}"]


def test_the_number_of_queries_does_not_grow(shop: Shop, django_assert_num_queries: Any) -> None:
    for _ in range(4):
        fail(shop, shop.order(customer=shop.customer()), 4)
    with django_assert_num_queries(7):
        assert len(judge("failed-payments")) == 4
