"""Refund drift: a rise that no single day shows, thin baselines, and no alarm at the normal rate."""

from typing import Any

import pytest
from pydantic import ValidationError

from apps.orders.detectors.refund_drift import Settings
from tests.orders.detectors.conftest import DAY, NOW, Shop, judge
from tests.orders.detectors.trade import give_back, shop_of_files, trade

SLUG = "refund-drift"
SMALL = {"baseline_days": 60, "watch_days": 20, "longest_lag": 5}


@pytest.fixture
def files(db: None) -> Shop:
    return shop_of_files()


def months(shop: Shop, *, risen: int, days: int, orders: int = 30) -> None:
    """85 days of trade with one refund a day (3.3 %), and so many on each of the last days."""
    made = trade(shop, 85, orders)
    for back, placed in enumerate(reversed(made)):
        if back >= 2:
            give_back(placed[: risen if back < days + 2 else 1], lag=2)


@pytest.mark.parametrize(("risen", "days", "hits"), [(1, 10, 0), (2, 3, 0), (2, 15, 1), (3, 5, 1)])
def test_rise(files: Shop, risen: int, days: int, hits: int) -> None:
    months(files, risen=risen, days=days)
    assert [hit.subject for hit in judge(SLUG, **SMALL)] == [f"store:{files.store.pk}"] * hits


def test_card_tells_since_when_and_how_much(files: Shop) -> None:
    months(files, risen=3, days=5)
    (hit,) = judge(SLUG, **SMALL)
    assert hit.data["since"] == (NOW - 5 * DAY).date().isoformat()
    assert (hit.data["refundCount"], hit.data["ordersDue"]) == (15, 150)
    assert (hit.data["baselineRefunds"], hit.data["baselineOrders"]) == (60, 1800)
    assert "15 of 150 orders due refunded" in hit.draft
    assert "baseline 3.3 % of 1,800" in hit.draft
    assert hit.data["level"] > hit.data["limit"] == 3.73
    assert (hit.expected_impact, hit.scope_id, hit.tier) == (750, files.store.scope_id, "policy")


def test_a_thin_baseline_is_said_and_not_judged(files: Shop) -> None:
    months(files, risen=3, days=5)
    (hit,) = judge(SLUG, minimum_orders=1801, **SMALL)
    assert (hit.tier, hit.data["judged"], hit.data["level"]) == ("low", False, None)
    (hit,) = judge(SLUG, minimum_refunds=30, minimum_orders=1801, **SMALL)
    assert judge(SLUG, minimum_refunds=61, **SMALL) == []


def test_a_shop_without_any_refund_is_left_alone(files: Shop) -> None:
    trade(files, 85, 10)
    assert judge(SLUG, **SMALL) == []


def test_settings_change_the_finding(files: Shop) -> None:
    months(files, risen=3, days=5)
    assert judge(SLUG, limit_20=20, limit_50=20, limit_200=20, **SMALL) == []
    assert judge(SLUG, subjects={f"store:{files.store.pk + 1}"}, **SMALL) == []
    assert len(judge(SLUG, subjects={f"store:{files.store.pk}"}, **SMALL)) == 1


def test_limits_must_rise() -> None:
    with pytest.raises(ValidationError, match="higher limit"):
        Settings(limit_20=5)


def test_the_number_of_queries_does_not_grow_with_stores(files: Shop, django_assert_num_queries: Any) -> None:
    for shop in (files, shop_of_files()):
        months(shop, risen=3, days=5)
    with django_assert_num_queries(4):
        assert len(judge(SLUG, **SMALL)) == 2
