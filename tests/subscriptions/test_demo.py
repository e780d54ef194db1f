"""The demonstration shows subscriptions at all three levels with months of history, and a filled queue."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.actions.models import ActionCard
from apps.core.models import Notification
from apps.subscriptions.demo.load import COUNT, load
from apps.subscriptions.models import (
    LevelCount,
    PaymentProvider,
    PaymentRetry,
    RenewalAttempt,
    RenewalModel,
    RenewalPrediction,
    RiskScore,
    RiskScoreHistory,
    Subscription,
)
from apps.subscriptions.reasons import contributing
from tests.subscriptions.factories import NOW

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_demo_has_all_levels_history_news_and_cards(settings: Any, tmp_path: Path) -> None:
    settings.RENEWAL_MODEL_DIR = str(tmp_path)
    assert load(now=NOW, report=lambda words, count: None)
    assert Subscription.objects.count() == COUNT
    _levels_and_history()
    _reasons()
    _retries()
    _predictions()
    assert Notification.objects.filter(kind="subscriptions").exists()
    assert not load(now=NOW, report=lambda words, count: None), "a second run changes nothing"


def _levels_and_history() -> None:
    levels = {"LOW", "MEDIUM", "HIGH"}
    assert set(RiskScore.objects.values_list("risk_level", flat=True)) == levels
    changed = RiskScoreHistory.objects.exclude(previous_level="")
    assert set(changed.values_list("risk_level", flat=True)) == levels
    assert RiskScoreHistory.objects.filter(calculated_at__lt=NOW - timedelta(days=100)).count() >= COUNT
    assert LevelCount.objects.values("day").distinct().count() > 140


def _reasons() -> None:
    high = RiskScore.objects.filter(risk_level="HIGH", subscription__status="active")
    cards = ActionCard.objects.filter(kind="subscription-risk-alert", status="open", rule_version__rule="high-risk")
    assert cards.count() == high.count()
    by_two = [score for score in high if sum(one.weight == "HIGH" for one in contributing(score.risk_factors)) == 2]
    assert by_two
    degraded = RiskScore.objects.get(degraded=True)
    assert "the balance is in USD, the price in EUR" in degraded.degraded_reason


def _retries() -> None:
    assert set(PaymentRetry.objects.values_list("status", flat=True)) == set(PaymentRetry.Status.values)
    for retry in PaymentRetry.objects.filter(status__in=["paid", "declined"]):
        of = RenewalAttempt.objects.get(
            subscription=retry.subscription_id, renewal_on=retry.renewal_on, number=retry.number
        )
        assert of.success is (retry.status == "paid")
    assert not PaymentProvider.objects.get().active, "nobody outside is asked"
    reasons = " ".join(Subscription.objects.values_list("next_attempt_reason", flat=True))
    for words in ("Retry 2 of 4", "Declined for good", "another payment method", "under way", "The last retry failed"):
        assert words in reasons
    assert not RenewalAttempt.objects.filter(attempt_date__gte=NOW).exists()


def _predictions() -> None:
    model = RenewalModel.objects.get()
    assert model.active, "it is better than the plain rule"
    assert model.metrics["model"]["roc_auc"] > model.metrics["rules"]["roc_auc"]
    assert RenewalPrediction.objects.count() == Subscription.objects.active().count()
    alerted = RenewalPrediction.objects.exclude(alerted_at=None)
    assert alerted.exists()
    assert set(alerted.values_list("subscription__risk_score__risk_level", flat=True)) == {"LOW"}
