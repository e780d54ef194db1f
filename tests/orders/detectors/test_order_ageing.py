from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from apps.actions.rules import TIERS
from apps.orders.detectors.order_ageing import Settings, tier_of
from tests.orders.detectors.conftest import DAY, NOW, Shop, judge

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("age", "tier"),
    [
        (2.99 * DAY, None), (3 * DAY, None), (3.01 * DAY, "low"), (5 * DAY, "low"), (5 * DAY + SECOND, "safety"),
        (7 * DAY, "safety"), (7.01 * DAY, "policy"),
    ],
)  # fmt: skip
def test_boundaries(shop: Shop, age: timedelta, tier: str | None) -> None:
    shop.order(age)
    assert [hit.tier for hit in judge("order-ageing")] == ([tier] if tier else [])


def test_card_words_and_figures(shop: Shop) -> None:
    order = shop.order(5.5 * DAY, number="#1234", customer=shop.customer("John Doe"))
    (hit,) = judge("order-ageing")
    assert hit.subject == f"order:{order.pk}"
    assert hit.scope_id == shop.store.scope_id
    assert hit.target == "Order #1234"
    assert hit.draft == "Order #1234 has been unfulfilled for 5 days. Customer: John Doe. Total: USD 100.00"
    assert hit.rationale.startswith("Order has been unfulfilled for 5 days, exceeding our 3-day fulfillment SLA.")
    assert (hit.expected_impact, str(hit.confidence), hit.ease, hit.can_execute) == (order.total, "0.95", 4, True)


@pytest.mark.parametrize(
    "fields",
    [
        {"fulfillment_status": "fulfilled"}, {"fulfillment_status": "partial"}, {"cancelled_at": NOW},
        {"closed_at": NOW}, {"deleted_at": NOW}, {"financial_status": "refunded"},
        {"fulfillment_scheduled_at": NOW + DAY},
    ],
)  # fmt: skip
def test_nobody_waits(shop: Shop, fields: dict) -> None:
    shop.order(9 * DAY, **fields)
    assert judge("order-ageing") == []


def test_a_missed_schedule_does_not_excuse(shop: Shop) -> None:
    shop.order(9 * DAY, fulfillment_scheduled_at=NOW - DAY)
    assert len(judge("order-ageing")) == 1


def test_event_judges_only_the_touched(shop: Shop) -> None:
    one, _ = shop.order(4 * DAY), shop.order(4 * DAY)
    assert [hit.subject for hit in judge("order-ageing", subjects={f"order:{one.pk}"})] == [f"order:{one.pk}"]


@pytest.mark.parametrize("days", [(3, 3, 7), (5, 3, 7), (3, 7, 7), (0, 5, 7)])
def test_thresholds_must_rise(days: tuple[int, int, int]) -> None:
    with pytest.raises(ValidationError):
        Settings(warning_days=days[0], critical_days=days[1], urgent_days=days[2])


@given(st.floats(0, 100), st.floats(0, 100))
def test_the_tier_never_falls_with_age(first: float, second: float) -> None:
    young, old = sorted((first, second))
    settings = Settings()
    assert TIERS.index(tier_of(young * DAY, settings)) <= TIERS.index(tier_of(old * DAY, settings))
