"""Scores are stored with their reasons and history, a batch at once, and one bad subscription stops no other."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.core.roles import Role
from apps.subscriptions import score_pages, scores
from apps.subscriptions.facts import Facts
from apps.subscriptions.models import AccountBalance, Approval, RiskScore, RiskScoreHistory, Subscription
from apps.subscriptions.scores import Transition, recalculate, recalculate_after_commit
from tests.core.factories import ScopeFactory, UserFactory, person
from tests.subscriptions.factories import NOW, ApprovalFactory, BalanceFactory, SubscriptionFactory
from tests.subscriptions.test_assess import broken, evaluating

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


def test_a_batch_takes_as_many_queries_as_one(django_assert_num_queries: Any) -> None:
    owner, scopes = UserFactory(), [ScopeFactory() for _ in range(3)]
    number_of = 24  # a person is told of so many one by one
    ids = [SubscriptionFactory(owner=owner, scope=scopes[number % 3]).pk for number in range(number_of)]
    AccountBalance.objects.bulk_create(
        AccountBalance(subscription_id=pk, amount=number, currency="USD", as_of=NOW) for number, pk in enumerate(ids)
    )
    counts = []
    for chunk in (ids[:2], ids[2:]):  # first scores, with the news of them
        with CaptureQueriesContext(connection) as first:
            assert recalculate(chunk, now=NOW).changed == len(chunk)
        with CaptureQueriesContext(connection) as again:
            assert recalculate(chunk, now=NOW + timedelta(days=1)).changed == 0
        counts.append((len(first), len(again)))
    assert counts[0] == counts[1]
    assert counts[0][1] <= 7


def test_the_order_within_a_level_is_the_sum() -> None:
    worse, bad = SubscriptionFactory(), SubscriptionFactory()
    BalanceFactory(subscription=worse, amount=0)
    recalculate([bad.pk, worse.pk], now=NOW)
    assert list(RiskScore.objects.values_list("subscription", "total_weight")) == [(worse.pk, 20), (bad.pk, 10)]


def healthy() -> tuple[Subscription, Approval]:
    subscription = SubscriptionFactory()
    BalanceFactory(subscription=subscription)
    return subscription, ApprovalFactory(subscription=subscription, expires_at=NOW)


def test_a_failing_evaluator_is_no_good_news_and_the_next_calculation_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    subscription, approval = healthy()
    told: list[Transition] = []
    _telling(monkeypatch, told)
    recalculate([subscription.pk], now=NOW)
    assert [news.level for news in told] == ["HIGH"]

    with evaluating(monkeypatch, "approval_expiration", broken):
        batch = recalculate([subscription.pk], now=NOW + timedelta(hours=1))
    score = RiskScore.objects.get()
    assert (score.risk_level, score.degraded) == ("LOW", True)
    assert "no such luck" in score.degraded_reason
    assert (batch.succeeded, batch.degraded, batch.failed, len(told)) == (1, 1, 0, 1)

    approval.expires_at = NOW + timedelta(days=9)
    approval.save()
    recalculate([subscription.pk], now=NOW + timedelta(hours=2))
    score.refresh_from_db()
    assert (score.risk_level, score.degraded, score.degraded_reason) == ("LOW", False, "")
    assert [(news.previous, news.level) for news in told] == [("", "HIGH"), ("HIGH", "LOW")]
    assert list(RiskScoreHistory.objects.values_list("degraded", flat=True)) == [False, True, False]


def _telling(monkeypatch: pytest.MonkeyPatch, told: list[Transition]) -> None:
    whole = scores.notifications.tell_of_transitions

    def tell(transitions: Any, *, now: datetime) -> int:
        told.extend(transitions)
        return whole(transitions, now=now)

    monkeypatch.setattr(scores.notifications, "tell_of_transitions", tell)


def test_a_failing_calculation_is_low_counted_as_failed_and_mended_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = SubscriptionFactory(), SubscriptionFactory()
    whole = scores.assess

    def assess(facts: Facts, *args: Any, **options: Any) -> Any:
        if facts.subscription_id == bad.pk:
            raise RuntimeError("not this one")
        return whole(facts, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(scores, "assess", assess)
        batch = recalculate([good.pk, bad.pk], now=NOW)
    assert (batch.succeeded, batch.failed, batch.degraded) == (1, 1, 1)
    score = RiskScore.objects.get(subscription=bad)
    assert (score.risk_level, score.degraded) == ("LOW", True)
    assert score.degraded_reason == "The calculation failed: RuntimeError: not this one"
    assert RiskScore.objects.get(subscription=good).risk_level == "HIGH"
    recalculate([bad.pk], now=NOW + timedelta(days=1))
    score.refresh_from_db()
    assert (score.risk_level, score.degraded) == ("HIGH", False)


def test_news_that_cannot_be_told_keeps_no_score_from_being_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = SubscriptionFactory(), SubscriptionFactory()
    whole = scores.notifications.tell_of_transitions

    def tell(transitions: Any, *, now: datetime) -> int:
        if one.pk in {news.subscription_id for news in transitions}:
            raise RuntimeError("no words")
        return whole(transitions, now=now)

    with monkeypatch.context() as patch:
        patch.setattr(scores.notifications, "tell_of_transitions", tell)
        assert recalculate([one.pk, other.pk], now=NOW).succeeded == 2
    told = dict(RiskScore.objects.values_list("subscription", "last_notified_risk_level"))
    assert told == {one.pk: "", other.pk: "HIGH"}
    recalculate([one.pk, other.pk], now=NOW + timedelta(days=1))
    assert set(RiskScore.objects.values_list("last_notified_risk_level", flat=True)) == {"HIGH"}


def test_factors_stored_in_another_shape_are_replaced() -> None:
    subscription = SubscriptionFactory()
    recalculate([subscription.pk], now=NOW)
    for shape in ([{"name": "old"}], {"a": 1}, [3]):
        RiskScore.objects.update(risk_factors=shape)
        assert recalculate([subscription.pk], now=NOW + timedelta(days=1)).succeeded == 1
        assert len(RiskScore.objects.get().risk_factors) == 3


def test_after_commit_a_change_is_calculated_and_a_failure_is_left_to_the_next_run(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    subscription = SubscriptionFactory()
    with django_capture_on_commit_callbacks(execute=True):
        recalculate_after_commit(subscription.pk)
        assert not RiskScore.objects.exists()
    assert RiskScore.objects.get().risk_level == "HIGH"
    monkeypatch.setattr(scores, "recalculate", lambda *args, **options: 1 / 0)
    with django_capture_on_commit_callbacks(execute=True):
        recalculate_after_commit(subscription.pk)


def test_detectors_judge_what_came_to_high_or_left_it(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    judged: list[Any] = []
    monkeypatch.setattr(scores, "run_rules", lambda **options: judged.append(options))
    subscription, _ = healthy()
    SubscriptionFactory()
    with django_capture_on_commit_callbacks(execute=True):
        recalculate([subscription.pk], now=NOW)
        recalculate([subscription.pk], now=NOW + timedelta(hours=1))
    ((options),) = judged
    assert options["subjects"].uuids("subscription") == [subscription.pk]
    assert options["events"] == {"subscription.risk_changed"}


def test_a_score_knows_its_owner_and_organisation_whatever_becomes_of_them() -> None:
    subscription, other = SubscriptionFactory(scope=ScopeFactory()), SubscriptionFactory(scope=ScopeFactory())
    recalculate([subscription.pk, other.pk], now=NOW)

    def whose() -> tuple[int, int | None]:
        return RiskScore.objects.values_list("user", "scope").get(subscription=subscription)

    assert whose() == (subscription.owner_id, subscription.scope_id)
    owner, scope = UserFactory(), ScopeFactory()
    Subscription.objects.filter(pk=subscription.pk).update(owner=owner, scope=scope)
    assert whose() == (owner.pk, scope.pk)
    Subscription.objects.filter(pk=subscription.pk).update(scope=None)
    assert whose() == (owner.pk, None)
    recalculate([subscription.pk], now=NOW + timedelta(days=1))
    assert whose() == (owner.pk, None)
    assert RiskScore.objects.get(subscription=other).scope == other.scope


def test_what_a_person_sees_is_the_same_by_score_and_by_subscription() -> None:
    scopes = [ScopeFactory() for _ in range(14)]
    people = [person(role, *scopes[:granted]) for role in Role for granted in (0, 2, 13)]
    ids = [
        SubscriptionFactory(owner=owner, scope=scope).pk for owner in people for scope in (scopes[0], scopes[9], None)
    ]
    recalculate(ids, now=NOW)
    for who in people:
        wanted = set(Subscription.objects.visible_to(who).values_list("pk", flat=True))
        assert set(RiskScore.objects.visible_to(who).values_list("subscription", flat=True)) == wanted
        listed = score_pages.page(who, score_pages.Filters(), size=200, after=None, most_counted=201)
        found = [json.loads(row)["subscription_id"] for row in listed.rows]
        assert sorted(found) == sorted(map(str, wanted))
        assert listed.counted == len(wanted)
        alone = {pk for pk in ids if score_pages.one(who, pk)}
        assert alone == wanted


@pytest.mark.parametrize(
    "levels", [("HIGH",), ("MEDIUM",), ("LOW",), ("HIGH", "MEDIUM"), ("HIGH", "LOW"), ("MEDIUM", "LOW")]
)
def test_levels_are_ranges_of_places(levels: tuple[str, ...]) -> None:
    weights = [Decimal("0"), Decimal("0.01"), Decimal("10"), Decimal("999999.99")]
    for level in ("HIGH", "MEDIUM", "LOW"):
        for weight in weights[level != "LOW" :]:
            one = RiskScore.objects.create(
                subscription=SubscriptionFactory(), risk_level=level, total_weight=weight, last_calculated_at=NOW
            )
            assert RiskScore.objects.values_list("place", flat=True).get(pk=one.pk) == RiskScore.place_of(level, weight)
    everyone = person(Role.RISK_MANAGER)
    filters = score_pages.Filters(frozenset(levels))
    found = score_pages.page(everyone, filters, size=200, after=None, most_counted=201)
    assert {json.loads(row)["risk_level"] for row in found.rows} == set(levels)
    assert found.counted == len(found.rows) == RiskScore.objects.filter(risk_level__in=levels).count()
    assert sum(RiskScore.objects.all().at(level).count() for level in levels) == found.counted
