"""The demonstration shows subscriptions at all three levels with months of history, and a filled queue."""

from __future__ import annotations

from datetime import timedelta

import pytest

from apps.actions.models import ActionCard
from apps.core.models import Notification
from apps.subscriptions.demo.load import COUNT, load
from apps.subscriptions.models import LevelCount, RiskScore, RiskScoreHistory, Subscription
from tests.subscriptions.factories import NOW

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_demo_has_all_levels_history_news_and_cards() -> None:
    assert load(now=NOW, report=lambda words, count: None)
    assert Subscription.objects.count() == COUNT
    levels = set(RiskScore.objects.values_list("risk_level", flat=True))
    assert levels == {"LOW", "MEDIUM", "HIGH"}
    assert RiskScoreHistory.objects.filter(calculated_at__lt=NOW - timedelta(days=100)).count() >= COUNT
    assert LevelCount.objects.values("day").distinct().count() > 140
    high = RiskScore.objects.filter(risk_level="HIGH", subscription__status="active").count()
    assert ActionCard.objects.filter(kind="subscription-risk-alert", status="open").count() == high
    assert Notification.objects.filter(kind="subscriptions").exists()
    assert not load(now=NOW, report=lambda words, count: None), "a second run changes nothing"
