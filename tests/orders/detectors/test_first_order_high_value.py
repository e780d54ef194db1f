"""First orders of high value: who is unknown, and what is much."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.orders.detectors.conftest import DAY, NOW, Shop, judge

SLUG = "first-order-high-value"


@pytest.mark.parametrize(
    ("total", "tier"), [("500.00", None), ("500.01", "safety"), ("1999.99", "safety"), ("2000.00", "policy")]
)
def test_boundaries(shop: Shop, total: str, tier: str | None) -> None:
    order = shop.order(total=Decimal(total), customer=shop.customer())
    hits = judge(SLUG)
    assert [(hit.subject, hit.tier) for hit in hits] == ([(f"order:{order.pk}", tier)] if tier else [])


@pytest.mark.parametrize(
    ("former", "hits"), [({}, 0), ({"cancelled_at": NOW}, 1), ({"deleted_at": NOW}, 1), ({"created_at": NOW}, 1)]
)
def test_earlier_orders_that_stand_make_a_customer_known(shop: Shop, former: dict[str, Any], hits: int) -> None:
    customer = shop.customer()
    shop.order(200 * DAY, customer=customer, **former)
    shop.order(total=Decimal(600), customer=customer)
    assert len(judge(SLUG)) == hits


def test_the_first_of_two_large_orders_is_told(shop: Shop) -> None:
    customer = shop.customer()
    first = shop.order(2 * DAY, total=Decimal(600), customer=customer)
    shop.order(total=Decimal(700), customer=customer)
    assert [hit.subject for hit in judge(SLUG)] == [f"order:{first.pk}"]


def test_guests_are_unknown_unless_left_out(shop: Shop) -> None:
    shop.order(total=Decimal(600))
    shop.order(total=Decimal(600))
    hits = judge(SLUG)
    assert len(hits) == 2
    assert hits[0].draft.endswith("first order of a guest. Total: USD 600.00")
    assert judge(SLUG, guests=False) == []


def test_settings_change_the_finding(shop: Shop) -> None:
    shop.order(total=Decimal(300))
    assert judge(SLUG) == []
    assert [hit.tier for hit in judge(SLUG, amount=100, policy_factor=3)] == ["policy"]
    assert judge(SLUG, amount=100, currency="EUR") == []


@pytest.mark.parametrize("fields", [{"fulfillment_status": "fulfilled"}, {"cancelled_at": NOW}, {"deleted_at": NOW}])
def test_nothing_is_to_be_held(shop: Shop, fields: dict[str, Any]) -> None:
    shop.order(total=Decimal(600), **fields)
    assert judge(SLUG) == []


@pytest.mark.parametrize(("age", "hits"), [(7 * DAY, 0), (7 * DAY - timedelta(seconds=1), 1), (-DAY, 0)])
def test_window(shop: Shop, age: timedelta, hits: int) -> None:
    shop.order(age, total=Decimal(600))
    assert len(judge(SLUG)) == hits


def test_events_judge_only_the_touched_orders_and_customers(shop: Shop, django_assert_num_queries: Any) -> None:
    orders = [shop.order(total=Decimal(600), customer=shop.customer()) for _ in range(3)]
    for subject, order in ((f"order:{orders[0].pk}", orders[0]), (f"customer:{orders[1].customer_id}", orders[1])):
        assert [hit.subject for hit in judge(SLUG, subjects={subject})] == [f"order:{order.pk}"]
    with django_assert_num_queries(1):
        (hit, *_) = judge(SLUG)
    assert hit.scope_id == shop.store.scope_id
