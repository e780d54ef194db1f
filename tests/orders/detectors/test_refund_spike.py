"""Refund spike: against the library's distribution, with equal ages, thin baselines and products."""

from datetime import timedelta
from typing import Any

import pytest
from scipy.stats import betabinom

from apps.orders.models import Order, Refund
from tests.orders.detectors.conftest import DAY, NOW, Shop, judge
from tests.orders.detectors.trade import give_back, shop_of_files, trade

SLUG = "refund-spike"
SMALL = {"baseline_days": 30, "longest_lag": 5, "products": False}


def months(shop: Shop, *, on_the_day: int, orders: int = 20, lag: int = 2) -> list[list[Order]]:
    """40 days of trade with one refund a day, and so many of yesterday's due orders."""
    days = trade(shop, 40, orders)
    give_back([day[0] for day in days[: -lag - 1]], lag=lag)
    give_back(days[-lag - 1][:on_the_day], lag=lag)
    return days


@pytest.fixture
def files(db: None) -> Shop:
    return shop_of_files()


@pytest.mark.parametrize(("refunds", "hits"), [(1, 0), (3, 0), (6, 1)])
def test_spike_of_a_store(files: Shop, refunds: int, hits: int) -> None:
    months(files, on_the_day=refunds)
    assert [hit.subject for hit in judge(SLUG, **SMALL)] == [f"store:{files.store.pk}"] * hits


def test_card_tells_counts_and_the_distributions_probability(files: Shop) -> None:
    months(files, on_the_day=6)
    (hit,) = judge(SLUG, **SMALL)
    data = hit.data
    assert (data["refundCount"], data["ordersDue"], data["baselineRefunds"], data["baselineOrders"]) == (6, 20, 30, 600)
    assert data["probability"] == pytest.approx(betabinom.sf(5, 20, 30.5, 570.5))
    assert "6 of 20 orders due refunded" in hit.draft
    assert "baseline 5.0 % of 600" in hit.draft
    assert (hit.expected_impact, hit.tier, hit.scope_id) == (300, "policy", files.store.scope_id)


def test_orders_are_compared_at_equal_age(files: Shop) -> None:
    """A day of refunds after a day of many orders is no spike, although few orders are placed now."""
    days = months(files, on_the_day=1)
    at = days[-3][0].created_at
    busy = Order.objects.bulk_create(
        Order(
            store=files.store, external_id=f"b{n}", number=f"#b{n}", currency="USD", total=100, created_at=at, updated_at=at,
            synced_at=at,
        )
        for n in range(100)
    )  # fmt: skip
    give_back(list(busy)[:5], lag=2)
    assert judge(SLUG, **SMALL) == []


def test_a_thin_baseline_is_said_and_not_judged(files: Shop) -> None:
    months(files, on_the_day=6)
    (hit,) = judge(SLUG, minimum_orders=601, **SMALL)
    assert (hit.tier, hit.data["judged"], hit.data["probability"]) == ("low", False, None)
    assert "cannot be judged" in hit.rationale
    assert judge(SLUG, minimum_orders=601, minimum_refunds=7, **SMALL) == []


def test_a_spike_stays_for_the_shown_days(files: Shop) -> None:
    months(files, on_the_day=6)
    for days, hits in ((0, 1), (2, 1), (3, 0)):
        assert len(judge(SLUG, now=NOW + days * DAY, **SMALL)) == hits, days
    assert judge(SLUG, now=NOW + DAY, shown_days=1, **SMALL) == []


def test_todays_refunds_wait_until_the_day_is_over(files: Shop) -> None:
    days = months(files, on_the_day=1)
    give_back(days[-2][1:8], lag=2)
    assert judge(SLUG, **SMALL) == []
    assert len(judge(SLUG, now=NOW + DAY, **SMALL)) == 1


def test_a_product_spikes_though_its_store_does_not(files: Shop) -> None:
    lamp, desk = files.product("Lamp"), files.product("Desk")
    lamps, desks = trade(files, 40, 8, product=lamp), trade(files, 40, 100, product=desk)
    give_back([order for day in desks[:-3] for order in day[:5]], lag=2, product=desk)
    give_back([day[0] for day in lamps[:-3:4]], lag=2, product=lamp)
    give_back(desks[-3][:5], lag=2, product=desk)
    give_back(lamps[-3][:6], lag=2, product=lamp)
    settings = {**SMALL, "products": True}
    (hit,) = judge(SLUG, **settings)
    assert hit.subject == f"product:{lamp.pk}"
    assert (hit.data["refundCount"], hit.data["ordersDue"], hit.data["baselineOrders"]) == (6, 8, 240)
    assert hit.data["tests"] == 3
    assert "Lamp" in hit.target
    assert judge(SLUG, **SMALL) == []
    assert [one.subject for one in judge(SLUG, subjects={f"store:{files.store.pk}"}, **settings)] == [hit.subject]
    assert judge(SLUG, subjects={f"store:{files.store.pk + 1}"}, **settings) == []


def test_days_are_the_stores_own(db: None) -> None:
    shop = shop_of_files(time_zone="Asia/Tokyo")
    months(shop, on_the_day=6)
    # Yesterday 15:05 UTC is today's first hour in Tokyo, until 15:00 UTC.
    assert judge(SLUG, now=NOW - timedelta(hours=1), **SMALL) == []
    assert len(judge(SLUG, **SMALL)) == 1


def test_refunds_that_moved_no_money_do_not_count(files: Shop) -> None:
    months(files, on_the_day=6)
    Refund.objects.filter(created_at__gte=NOW - 2 * DAY).update(amount=0)
    assert judge(SLUG, **SMALL) == []


def test_the_number_of_queries_does_not_grow_with_stores(files: Shop, django_assert_num_queries: Any) -> None:
    for shop in (files, shop_of_files()):
        months(shop, on_the_day=6)
    with django_assert_num_queries(6):  # stores, three of history, products due, money
        assert len(judge(SLUG, **{**SMALL, "products": True})) == 2
