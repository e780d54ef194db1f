"""Scores are stored with their reasons and history, a batch at once, and one bad subscription stops no other."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from apps.subscriptions.models import RiskScore, RiskScoreHistory
from apps.subscriptions.scores import Transition, recalculate
from tests.subscriptions.factories import NOW, ApprovalFactory, BalanceFactory, SubscriptionFactory

pytestmark = pytest.mark.django_db


def test_a_healthy_subscription_is_low_and_says_why() -> None:
    subscription = SubscriptionFactory()
    ApprovalFactory(subscription=subscription)
    BalanceFactory(subscription=subscription)
    batch = recalculate([subscription.pk], now=NOW)
    score = RiskScore.objects.get(subscription=subscription)
    assert (score.risk_level, score.total_weight, score.degraded, score.user) == ("LOW", 0, False, subscription.owner)
    assert score.last_calculated_at == NOW
    assert [factor["factor_type"] for factor in score.risk_factors] == [
        "approval_expiration",
        "balance_projection",
        "consecutive_failures",
    ]
    assert (batch.succeeded, batch.failed, batch.degraded, batch.changed) == (1, 0, 0, 1)


def test_a_change_of_level_is_written_down_once_and_returned() -> None:
    subscription = SubscriptionFactory()
    BalanceFactory(subscription=subscription)
    approval = ApprovalFactory(subscription=subscription)
    recalculate([subscription.pk], now=NOW)
    assert recalculate([subscription.pk], now=NOW + timedelta(hours=1)).transitions == []
    later = approval.expires_at
    (news,) = recalculate([subscription.pk], now=later).transitions
    assert isinstance(news, Transition)
    assert (news.previous, news.level) == ("LOW", "HIGH")
    levels = RiskScoreHistory.objects.filter(subscription=subscription).values_list("previous_level", "risk_level")
    assert list(levels) == [("LOW", "HIGH"), ("", "LOW")]


def test_unknown_ids_are_passed_over() -> None:
    batch = recalculate([uuid4()], now=NOW)
    assert (batch.succeeded, batch.failed) == (0, 0)
    assert not RiskScore.objects.exists()
