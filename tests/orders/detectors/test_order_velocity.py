"""Order velocity: counted per identity and store, in the densest window, and told once."""

from datetime import timedelta

import pytest

from apps.orders.models import Order
from tests.orders.detectors.conftest import DAY, NOW, Shop, judge

HOUR = timedelta(hours=1)


def burst(shop: Shop, count: int, *, until: timedelta = HOUR, apart: timedelta = HOUR, **fields: object) -> list[Order]:
    return [shop.order(until + apart * n, **fields) for n in range(count)]


@pytest.mark.parametrize(("orders", "hits"), [(4, 0), (5, 1)])
def test_limit_per_customer(shop: Shop, orders: int, hits: int) -> None:
    customer = shop.customer()
    burst(shop, orders, customer=customer)
    assert [hit.subject for hit in judge("order-velocity")] == [f"customer:{customer.pk}"] * hits


@pytest.mark.parametrize(("kind", "limit"), [("payment", 4), ("address", 5), ("ip", 8)])
def test_limits_per_digest(shop: Shop, kind: str, limit: int) -> None:
    orders = burst(shop, limit - 1, **{f"{kind}_key": "abc"})
    assert judge("order-velocity") == []
    orders += burst(shop, 1, until=12 * HOUR, **{f"{kind}_key": "abc"})
    (hit,) = judge("order-velocity")
    assert hit.subject == f"{kind}:{shop.store.pk}:abc"
    assert hit.scope_id == shop.store.scope_id
    assert hit.data["orderCount"] == limit
    assert (hit.expected_impact, hit.tier) == (100 * limit, "safety")
    assert f"order #{orders[-1].number.lstrip('#')}" in hit.target


def test_orders_just_within_and_just_outside_a_day(shop: Shop) -> None:
    customer = shop.customer()
    burst(shop, 5, apart=6 * HOUR, customer=customer)
    assert len(judge("order-velocity")) == 1
    Order.objects.filter(created_at=NOW - 25 * HOUR).update(created_at=NOW - 25 * HOUR - timedelta(seconds=1))
    assert judge("order-velocity") == []


def test_the_densest_window_of_the_week_is_told(shop: Shop) -> None:
    customer = shop.customer()
    burst(shop, 5, customer=customer)
    dense = burst(shop, 7, until=4 * DAY, customer=customer)
    burst(shop, 9, until=7 * DAY, customer=customer)
    (hit,) = judge("order-velocity")
    assert hit.data["orderCount"] == 7
    assert sorted(hit.data["affectedOrders"]) == sorted(order.pk for order in dense)


def test_one_set_of_orders_is_told_once_by_the_surest_identity(shop: Shop) -> None:
    customer = shop.customer()
    burst(shop, 8, customer=customer, payment_key="p", address_key="a", ip_key="i")
    assert [hit.subject for hit in judge("order-velocity")] == [f"customer:{customer.pk}"]
    burst(shop, 1, until=2 * HOUR, address_key="a")
    assert len(judge("order-velocity")) == 2


def test_equal_digests_of_two_stores_are_two_buyers(shop: Shop) -> None:
    other = Shop()
    burst(shop, 3, payment_key="p")
    burst(other, 3, payment_key="p")
    assert judge("order-velocity") == []
    order = burst(other, 1, payment_key="p")[0]
    assert [hit.subject for hit in judge("order-velocity")] == [f"payment:{other.store.pk}:p"]
    burst(shop, 1, payment_key="p")
    touched = judge("order-velocity", subjects={f"order:{order.pk}"})
    assert [(hit.subject, hit.scope_id) for hit in touched] == [(f"payment:{other.store.pk}:p", other.store.scope_id)]


def test_subjects_may_name_the_identity_itself(shop: Shop) -> None:
    burst(shop, 4, payment_key="p")
    burst(shop, 4, payment_key="q")
    key = f"payment:{shop.store.pk}:q"
    assert [hit.subject for hit in judge("order-velocity", subjects={key})] == [key]


def test_deleted_and_future_orders_do_not_count(shop: Shop) -> None:
    customer = shop.customer()
    burst(shop, 4, customer=customer)
    shop.order(HOUR, customer=customer, deleted_at=NOW)
    shop.order(-HOUR, customer=customer)
    assert judge("order-velocity") == []


def test_settings_change_the_finding(shop: Shop) -> None:
    burst(shop, 3, apart=2 * HOUR, customer=shop.customer())
    assert judge("order-velocity") == []
    assert [hit.tier for hit in judge("order-velocity", customer_orders=3)] == ["safety"]
    assert judge("order-velocity", customer_orders=3, window_hours=3) == []


def test_the_number_of_queries_does_not_grow(shop: Shop, django_assert_num_queries: object) -> None:
    for n in range(6):
        burst(shop, 5, customer=shop.customer(), payment_key=f"p{n}")
    with django_assert_num_queries(7):  # type: ignore[operator]
        assert len(judge("order-velocity")) == 6
