"""The card of a subscription at HIGH risk: what it says, when it opens, and when it goes away by itself."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.actions.models import ActionCard
from apps.actions.rules import Hit, Subjects, rules
from apps.actions.runs import run_rules
from apps.subscriptions.detectors import high_risk
from apps.subscriptions.detectors.high_risk import Settings, detect, tier_of
from apps.subscriptions.models import RiskScore, Subscription
from tests.core.factories import ScopeFactory
from tests.subscriptions.factories import NOW, RENEWS_ON, SubscriptionFactory
from tests.subscriptions.test_notifications import FACTORS

pytestmark = pytest.mark.django_db


def scored(level: str = "HIGH", subscription: Subscription | None = None, **fields: Any) -> RiskScore:
    one = subscription or SubscriptionFactory()
    defaults = {"user": one.owner, "risk_level": level, "risk_factors": FACTORS, "total_weight": Decimal(15)}
    score, _ = RiskScore.objects.update_or_create(
        subscription=one, defaults=defaults | {"last_calculated_at": NOW} | fields
    )
    return score


def hits(subjects: set[str] | None = None, **settings: Any) -> list[Hit]:
    which = None if subjects is None else Subjects(frozenset(subjects))
    return list(detect(now=NOW, settings=Settings(**settings), subjects=which))


def key(score: RiskScore) -> str:
    return f"subscription:{score.subscription_id}"


def cards(trigger: str = "schedule", now: Any = NOW, **fields: Any) -> list[tuple[str, str]]:
    run_rules(now=now, trigger=trigger, **({"rules": ["high-risk"]} | fields))
    return list(ActionCard.objects.order_by("pk").values_list("subject", "status"))


def test_what_the_card_says() -> None:
    scope = ScopeFactory()
    one = scored(subscription=SubscriptionFactory(name="Team plan", scope=scope))
    (found,) = hits()
    assert (found.subject, found.scope_id, found.target) == (key(one), scope.pk, "Subscription Team plan")
    assert found.draft.startswith("Team plan (USD 20.00 monthly) is at HIGH risk; the renewal is due on 2026-03-10.")
    assert "2 of 3 factors count, with a weight of 15 in all" in found.rationale
    assert found.mitigation == (
        "1. Ask the owner to update the payment method; this one will not work again.\n"
        "2. Remind the owner to top up: the balance covers the renewal with little to spare."
    )
    assert (found.expected_impact, found.currency, found.can_execute) == (Decimal("20.00"), "USD", False)
    assert found.data["factors"][0] == {
        "factor": "Consecutive failures",
        "weight": "HIGH",
        "weighs": "10",
        "found": "3 renewals in a row failed, 5 attempts in all, the last decline is final",
    }
    rule = rules["high-risk"]
    assert all((rule.mitigation, rule.rollback))
    assert rule.escalation.startswith("Escalate when ")
    assert rule.events == {"subscription.risk_changed"}


@pytest.mark.parametrize(
    ("factor", "weight", "details", "advice"),
    [
        ("approval_expiration", "HIGH", {"approval": "missing"}, "approve the renewal again"),
        ("balance_projection", "HIGH", {"balance": "1", "renewal_amount": "20", "currency": "USD"}, "top-up reminder"),
        ("consecutive_failures", "HIGH", {"last_decline_kind": "hard"}, "update the payment method"),
        ("consecutive_failures", "MEDIUM", {"last_decline_kind": "soft"}, "Adjust the retry"),
    ],
)
def test_the_mitigation_follows_from_the_factors(factor: str, weight: str, details: Any, advice: str) -> None:
    scored(risk_factors=[{"factor_type": factor, "weight": weight, "weight_value": 10, "details": details}])
    (found,) = hits()
    assert advice in found.mitigation


def test_lower_levels_and_subscriptions_that_do_not_renew_open_no_card() -> None:
    scored("LOW")
    scored("MEDIUM")
    for status in ("paused", "cancelled", "expired"):
        scored(subscription=SubscriptionFactory(status=status))
    assert hits() == []


def test_a_level_that_is_lower_only_because_something_failed_keeps_the_card() -> None:
    one = scored(
        "LOW", degraded=True, degraded_reason="Balance projection failed: E", last_notified_risk_level="HIGH",
        risk_factors=[],
    )  # fmt: skip
    scored("LOW", degraded=True)
    (found,) = hits()
    assert found.subject == key(one)
    assert "could not be judged: Balance projection failed: E." in found.rationale
    assert found.confidence < Decimal("0.9")
    assert found.mitigation == "", "the rule's own words stand on the card"


def test_cheap_ones_can_be_left_out() -> None:
    scored(subscription=SubscriptionFactory(price=Decimal("4.99")))
    one = scored(subscription=SubscriptionFactory(price=Decimal("5.00")))
    assert [found.subject for found in hits(minimum_price=Decimal(5))] == [key(one)]


def test_the_tier_rises_when_the_renewal_is_near() -> None:
    assert tier_of(RENEWS_ON, NOW, Settings()) == "safety"
    for days in (7, 0, -30):
        assert tier_of(NOW.date() + timedelta(days=days), NOW, Settings()) == "policy"
    assert tier_of(NOW.date() + timedelta(days=8), NOW, Settings()) == "safety"


def test_an_event_judges_what_it_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = scored(), scored()
    monkeypatch.setattr(high_risk, "TOUCHED", 1)
    assert [found.subject for found in hits({key(one)})] == [key(one)]
    assert {found.subject for found in hits({key(one), key(other)})} == {key(one), key(other)}
    assert hits({"order:1"}) == []


def test_a_card_opens_on_the_event_and_resolves_itself_when_the_level_drops() -> None:
    one, other = scored(), scored()
    event = {"rules": None, "events": frozenset({"subscription.risk_changed"})}
    assert cards("event", subjects=Subjects(frozenset({key(one)})), **event) == [(key(one), "open")]
    assert ActionCard.objects.get().mitigation.startswith("1. Ask the owner")
    assert cards() == [(key(one), "open"), (key(other), "open")], "the sweep finds the rest"
    scored("MEDIUM", subscription=one.subscription)
    assert cards("event", subjects=Subjects(frozenset({key(one)})), **event) == [
        (key(one), "resolved"),
        (key(other), "open"),
    ]


def test_a_sweep_that_finds_the_same_writes_nothing() -> None:
    scored()
    cards()
    version = ActionCard.objects.get().version
    RiskScore.objects.update(last_calculated_at=NOW + timedelta(days=1))
    cards(now=NOW + timedelta(minutes=15))
    assert ActionCard.objects.get().version == version


def test_a_sweep_asks_once_however_many_there_are() -> None:
    for _ in range(30):
        scored()
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert len(hits()) == 30
    assert len(asked) == 1
