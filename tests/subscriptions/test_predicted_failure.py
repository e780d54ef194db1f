"""Cards about renewals that are likely to fail although the rules say LOW."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.actions.models import ActionCard
from apps.actions.rules import Subjects
from apps.actions.runs import run_rules
from apps.subscriptions.detectors.predicted_failure import Settings, detect
from apps.subscriptions.models import RenewalModel, RenewalPrediction, RiskScore, Subscription
from apps.subscriptions.scores import recalculate
from tests.subscriptions.factories import NOW, RENEWS_ON, SubscriptionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def model() -> RenewalModel:
    return RenewalModel.objects.create(
        version=3, file="f", sha256="s", trained_at=NOW, observed_until=NOW, rows=1000, active=True, threshold=0.6
    )


def predicted(model: RenewalModel, chance: float, level: str = "LOW", **fields) -> Subscription:
    one = SubscriptionFactory(**fields)
    RiskScore.objects.create(
        subscription=one, user=one.owner, risk_level=level, last_calculated_at=NOW, rule_version="v"
    )
    reasons = [{"feature": "last_failed", "title": "The last renewal failed", "value": 1.0, "effect": 0.8}]
    RenewalPrediction.objects.create(
        subscription=one, model=model, chance=chance, reasons=reasons, renewal_on=RENEWS_ON, predicted_at=NOW
    )
    return one


def hits(subjects: Subjects | None = None, **settings) -> list:
    return list(detect(now=NOW, settings=Settings(**settings), subjects=subjects))


def test_at_the_threshold_and_low_there_is_a_card(model) -> None:
    one = predicted(model, 0.6)
    predicted(model, 0.599)
    (hit,) = hits()
    assert hit.subject == f"subscription:{one.pk}"
    assert hit.scope_id == one.scope_id
    assert (hit.expected_impact, hit.expected_loss) == (Decimal("20.00"), Decimal("12.00"))
    assert "about 60%" in hit.rationale
    assert "The last renewal failed: 1 (more likely)" in hit.rationale


@pytest.mark.parametrize(("level", "status"), [("MEDIUM", "active"), ("HIGH", "active"), ("LOW", "paused")])
def test_where_the_rules_speak_or_nothing_renews_there_is_none(model, level, status) -> None:
    predicted(model, 0.9, level, status=status)
    assert hits() == []


def test_small_amounts_and_other_subjects_are_left_out(model) -> None:
    one, _ = predicted(model, 0.9), predicted(model, 0.9)
    assert hits(minimum_price=Decimal("20.01")) == []
    assert len(hits(Subjects(frozenset({f"subscription:{one.pk}"})))) == 1


def test_without_a_model_nothing_is_said(model) -> None:
    predicted(model, 0.9)
    RenewalModel.objects.update(active=False)
    assert hits() == []


def test_the_card_resolves_when_the_rules_see_it_themselves(model) -> None:
    one = predicted(model, 0.9)
    run_rules(now=NOW, trigger="schedule", rules=["predicted-failure"])
    card = ActionCard.objects.get()
    assert card.rule == "predicted-failure"
    RiskScore.objects.filter(subscription=one).update(risk_level="HIGH")
    run_rules(now=NOW, trigger="schedule", rules=["predicted-failure"])
    card.refresh_from_db()
    assert card.status == ActionCard.Status.RESOLVED


def test_the_card_resolves_at_once_when_a_change_lets_the_rules_see_it(
    model, django_capture_on_commit_callbacks
) -> None:
    one = predicted(model, 0.9)
    run_rules(now=NOW, trigger="schedule", rules=["predicted-failure"])
    with django_capture_on_commit_callbacks(execute=True):
        recalculate([one.pk], now=NOW)  # without an approval or a balance it is not LOW
    assert RiskScore.objects.get(subscription=one).risk_level != "LOW"
    assert ActionCard.objects.get(rule="predicted-failure").status == ActionCard.Status.RESOLVED
