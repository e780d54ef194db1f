"""Calculations of the same subscriptions at once take turns: nothing is lost, told twice or written down twice."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import transaction

from apps.core.models import Notification
from apps.subscriptions import scores
from apps.subscriptions.models import Approval, RiskScore, RiskScoreHistory
from apps.subscriptions.scores import recalculate
from tests.core.factories import UserFactory
from tests.subscriptions.factories import NOW, ApprovalFactory, BalanceFactory, SubscriptionFactory
from tests.support.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_first_scores_by_four_at_once() -> None:
    owner = UserFactory()
    ids = [SubscriptionFactory(owner=owner, scope=None).pk for _ in range(12)]
    results = at_once(*(lambda turn=turn: recalculate(ids[turn:] + ids[:turn], now=NOW) for turn in (0, 3, 6, 9)))  # type: ignore[misc]
    assert not [each for each in results if isinstance(each, Exception)]
    assert RiskScore.objects.count() == RiskScoreHistory.objects.count() == 12
    assert Notification.objects.filter(recipient=owner).count() == 12


def test_older_facts_never_overwrite_newer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """One calculation gathers its facts, then the approval is revoked and calculated by another."""
    subscription = SubscriptionFactory(scope=None)
    BalanceFactory(subscription=subscription)
    ApprovalFactory(subscription=subscription)
    recalculate([subscription.pk], now=NOW)
    gathered, revoked = Barrier(2), Barrier(2)
    whole = scores.gather

    def slow(ids: Any, *, now: Any) -> Any:
        found = whole(ids, now=now)
        if now == NOW + timedelta(seconds=1):
            gathered.wait(10)
            revoked.wait(10)
        return found

    def revoke() -> None:
        gathered.wait(10)
        with transaction.atomic():
            Approval.objects.update(status="revoked")
        revoked.wait(10)
        recalculate([subscription.pk], now=NOW + timedelta(seconds=2))

    monkeypatch.setattr(scores, "gather", slow)
    results = at_once(lambda: recalculate([subscription.pk], now=NOW + timedelta(seconds=1)), revoke)
    assert not [each for each in results if isinstance(each, Exception)]
    assert RiskScore.objects.get().risk_level == "HIGH"
