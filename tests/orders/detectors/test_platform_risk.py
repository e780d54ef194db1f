"""The platform's verdict: what counts, for how long, and until when."""

from datetime import timedelta
from typing import Any

import pytest

from apps.orders.models import Order, RiskAssessment
from tests.orders.detectors.conftest import DAY, NOW, Shop, judge


def warned(
    shop: Shop, level: str = "high", recommendation: str = "cancel", age: timedelta = DAY, **fields: Any
) -> Order:
    order = shop.order(age, **fields)
    RiskAssessment.objects.create(
        order=order,
        level=level,
        recommendation=recommendation,
        assessed_at=NOW - age,
        provider="Guard",
        facts=["Proxy"],
    )
    return order


@pytest.mark.parametrize(
    ("level", "recommendation", "tier"),
    [
        ("high", "cancel", "policy"), ("high", "none", "policy"), ("medium", "investigate", "safety"),
        ("low", "cancel", "policy"), ("medium", "none", None), ("low", "accept", None), ("pending", "none", None),
    ],
)  # fmt: skip
def test_verdicts(shop: Shop, level: str, recommendation: str, tier: str | None) -> None:
    order = warned(shop, level, recommendation)
    hits = judge("platform-risk")
    assert [(hit.subject, hit.tier, hit.can_execute) for hit in hits] == (
        [(f"order:{order.pk}", tier, True)] if tier else []
    )


def test_card_words_and_figures(shop: Shop) -> None:
    order = warned(shop, number="#1001")
    (hit,) = judge("platform-risk")
    assert hit.scope_id == shop.store.scope_id
    assert hit.draft == "Order #1001: Guard sees a high risk and recommends to cancel it. Total: USD 100.00"
    assert hit.rationale.endswith("Its reasons: Proxy.")
    assert (hit.expected_impact, hit.data["facts"]) == (order.total, ["Proxy"])


@pytest.mark.parametrize(
    "fields",
    [
        {"cancelled_at": NOW}, {"closed_at": NOW}, {"deleted_at": NOW}, {"fulfillment_status": "fulfilled"},
        {"financial_status": "refunded"}, {"financial_status": "voided"},
    ],
)  # fmt: skip
def test_orders_that_need_no_verdict(shop: Shop, fields: dict[str, Any]) -> None:
    warned(shop, **fields)
    assert judge("platform-risk") == []


def test_settings_change_the_finding(shop: Shop) -> None:
    warned(shop, "medium", "investigate")
    warned(shop, fulfillment_status="fulfilled")
    assert len(judge("platform-risk")) == 1
    assert judge("platform-risk", include_investigate=False) == []
    assert len(judge("platform-risk", include_sent=True)) == 2


@pytest.mark.parametrize(("age", "hits"), [(30 * DAY, 0), (30 * DAY - timedelta(seconds=1), 1), (-DAY, 0)])
def test_window(shop: Shop, age: timedelta, hits: int) -> None:
    warned(shop, age=age)
    assert len(judge("platform-risk")) == hits


def test_event_judges_only_the_touched(shop: Shop) -> None:
    one, _ = warned(shop), warned(shop)
    assert [hit.subject for hit in judge("platform-risk", subjects={f"order:{one.pk}"})] == [f"order:{one.pk}"]


def test_the_number_of_queries_does_not_grow(shop: Shop, django_assert_num_queries: Any) -> None:
    for _ in range(4):
        warned(shop)
    with django_assert_num_queries(1):
        assert len(judge("platform-risk")) == 4
