"""One identity with many names: how names are compared, for whom, and how many are too many."""

from datetime import timedelta
from typing import Any

import pytest

from tests.orders.detectors.conftest import DAY, NOW, Shop, judge

NAMES = ["Ada A", "Bob B", "Cy C", "Di D", "Ed E", "Flo F", "Gus G", "Hal H"]


@pytest.mark.parametrize(("kind", "limit"), [("payment", 3), ("address", 6), ("ip", 8)])
def test_limits_per_digest(shop: Shop, kind: str, limit: int) -> None:
    orders = [shop.order(billing_name=name, **{f"{kind}_key": "abc"}) for name in NAMES[: limit - 1]]
    assert judge("many-names") == []
    orders.append(shop.order(billing_name=NAMES[limit - 1], **{f"{kind}_key": "abc"}))
    (hit,) = judge("many-names")
    assert (hit.subject, hit.scope_id) == (f"{kind}:{shop.store.pk}:abc", shop.store.scope_id)
    assert hit.data["nameCount"] == limit
    assert sorted(hit.data["affectedOrders"]) == [order.pk for order in orders]
    assert hit.tier == ("policy" if kind == "payment" else "safety")


@pytest.mark.parametrize(("count", "hits"), [(3, 0), (4, 1)])
def test_limit_per_customer(shop: Shop, count: int, hits: int) -> None:
    customer = shop.customer()
    for name in NAMES[:count]:
        shop.order(customer=customer, billing_name=name)
    assert [hit.subject for hit in judge("many-names")] == [f"customer:{customer.pk}"] * hits


def test_spelling_makes_no_new_name_and_nameless_orders_none(shop: Shop) -> None:
    for name in ("Ada Lovelace", "ADA LOVELACE", "ada  lovelace", "Ada-Lovelace", "Ada Lovelace.", ""):
        shop.order(payment_key="p", billing_name=name)
    shop.order(payment_key="p", shipping_name="Bob")
    assert judge("many-names") == []
    shop.order(payment_key="p", shipping_name="Cy")
    (hit,) = judge("many-names")
    assert hit.data["nameCount"] == 3
    assert "Ada" not in f"{hit.draft}{hit.rationale}{hit.data}"


@pytest.mark.parametrize(("age", "hits"), [(30 * DAY, 0), (30 * DAY - timedelta(seconds=1), 1), (-DAY, 0)])
def test_window(shop: Shop, age: timedelta, hits: int) -> None:
    for name in NAMES[:2]:
        shop.order(payment_key="p", billing_name=name)
    shop.order(age, payment_key="p", billing_name=NAMES[2])
    assert len(judge("many-names")) == hits


def test_settings_change_the_finding(shop: Shop) -> None:
    for name in NAMES[:2]:
        shop.order(20 * DAY, payment_key="p", billing_name=name)
    shop.order(payment_key="p", billing_name=NAMES[0], deleted_at=NOW)
    assert judge("many-names") == []
    assert len(judge("many-names", payment_names=2)) == 1
    assert judge("many-names", payment_names=2, window_days=20) == []


def test_event_judges_the_touched_as_a_sweep_does(shop: Shop) -> None:
    for name in NAMES:
        shop.order(payment_key="p", ip_key="i", billing_name=name)
    other = shop.order(ip_key="i", payment_key="q", billing_name=NAMES[0], age=2 * DAY)
    assert [hit.subject for hit in judge("many-names")] == [f"payment:{shop.store.pk}:p"]
    # The IP address is touched, but its orders are those of the payment card.
    assert judge("many-names", subjects={f"order:{other.pk}"}) == []


def test_the_number_of_queries_does_not_grow(shop: Shop, django_assert_num_queries: Any) -> None:
    for key in "abc":
        for name in NAMES[:3]:
            shop.order(payment_key=key, billing_name=name)
    with django_assert_num_queries(7):
        assert len(judge("many-names")) == 3
