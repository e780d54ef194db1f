"""Recalculation of all active subscriptions: complete, one at a time, and resumable wherever it was cut off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from threading import Event, get_ident
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from prometheus_client import REGISTRY

from apps.core.models import Scope
from apps.subscriptions import recalculation
from apps.subscriptions.models import LevelCount, RecalculationRun, RiskScore, RiskScoreHistory, Subscription
from apps.subscriptions.recalculation import request_run, unfinished, work
from apps.subscriptions.scores import Batch
from tests.core.factories import ScopeFactory, UserFactory
from tests.subscriptions.factories import NOW, ApprovalFactory, BalanceFactory, SubscriptionFactory

pytestmark = pytest.mark.django_db
Status = RecalculationRun.Status


def made(count: int, **values: Any) -> list[Subscription]:
    owner = UserFactory()
    return sorted(
        (SubscriptionFactory(owner=owner, **{"scope": None, **values}) for _ in range(count)), key=lambda one: one.pk
    )


def started(batch_size: int = 3, **values: Any) -> RecalculationRun:
    return request_run(**{"trigger": "command", "now": NOW, "batch_size": batch_size, **values})


def test_every_active_subscription_once_and_the_summary_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    active, _ = made(7), [SubscriptionFactory(status=status) for status in ("paused", "cancelled", "expired")]
    seen = _watched(monkeypatch)
    progress: list[int] = []
    run = work(started(), on_batch=lambda run: progress.append(run.succeeded))
    assert seen == [one.pk for one in active]
    assert progress == [3, 6, 7]
    run.refresh_from_db()
    assert (run.status, run.total, run.succeeded, run.failed, run.degraded, run.changed) == ("finished", 7, 7, 0, 0, 7)
    assert run.cursor == active[-1].pk
    assert run.finished_at
    assert run.started_at
    assert run.seconds > 0
    assert set(RiskScore.objects.values_list("last_calculated_at", flat=True)) == {NOW}


def _watched(monkeypatch: pytest.MonkeyPatch, before: Callable[[int], None] = lambda batch: None) -> list[Any]:
    """The ids that are calculated from here on, in order; ``before`` each batch something may happen."""
    seen: list[Any] = []
    batches: list[int] = []
    whole = recalculation.recalculate

    def watched(ids: Any, **options: Any) -> Batch:
        batches.append(len(ids))
        before(len(batches))
        done = whole(ids, **options)
        seen.extend(ids)
        return done

    monkeypatch.setattr(recalculation, "recalculate", watched)
    return seen


def test_the_batch_size_is_a_setting(settings: Any) -> None:
    settings.RISK_BATCH_SIZE = 17
    assert request_run(trigger="schedule", now=NOW).batch_size == 17


def test_who_asks_while_one_is_unfinished_gets_that_one() -> None:
    made(1)
    first = started(trigger="api", requested_by=UserFactory())
    assert started(now=NOW + timedelta(hours=1)) == first
    work(first)
    assert started(now=NOW + timedelta(hours=1)) != first


def test_only_one_is_marked_as_running() -> None:
    started()
    RecalculationRun.objects.update(status=Status.RUNNING)
    with pytest.raises(Exception, match="recalculation_one_running"), transaction.atomic():
        RecalculationRun.objects.create(trigger="api", as_of=NOW, batch_size=1, status=Status.RUNNING)


def test_a_finished_run_is_not_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made(2)
    run = work(started())
    seen = _watched(monkeypatch)
    assert work(run).succeeded == 2
    assert seen == []


def test_a_shift_ends_and_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    active = made(7)
    seen = _watched(monkeypatch)
    turns = iter([True, False])
    run = work(started(), go_on=lambda: next(turns))
    assert (run.status, seen) == (Status.WAITING, [one.pk for one in active[:3]])
    assert unfinished() == run
    run = work(run)
    assert (run.status, run.succeeded, seen) == (Status.FINISHED, 7, [one.pk for one in active])


def test_without_subscriptions_it_just_ends() -> None:
    run = work(started())
    assert (run.status, run.total, run.succeeded) == (Status.FINISHED, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_a_database_that_goes_away_leaves_a_run_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    active = made(7)

    def cut(batch: int) -> None:
        if batch == 2:
            raise OperationalError("terminating connection")

    with monkeypatch.context() as patch:
        seen = _watched(patch, cut)
        with pytest.raises(OperationalError):
            work(started())
    run = RecalculationRun.objects.get()
    assert (run.status, run.succeeded, run.error) == (Status.WAITING, 3, "OperationalError: terminating connection")
    seen += _watched(monkeypatch)
    rest = _watched(monkeypatch)
    run = work(run)
    assert (run.status, run.succeeded, run.error) == (Status.FINISHED, 7, "")
    assert seen + rest == [one.pk for one in active]
    assert RiskScoreHistory.objects.count() == 7


@pytest.mark.django_db(transaction=True)
def test_a_mistake_of_ours_ends_the_run_and_the_next_one_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    made(1)
    with monkeypatch.context() as patch:
        patch.setattr(recalculation, "_ids_after", lambda cursor, limit: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            work(started())
    run = RecalculationRun.objects.get()
    assert (run.status, run.error) == (Status.FAILED, "ZeroDivisionError: division by zero")
    assert started() != run


def test_levels_are_counted_by_organisation_at_the_end() -> None:
    acme, other = ScopeFactory(), ScopeFactory()
    for scope, healthy in ((acme, True), (acme, False), (acme, False), (None, True)):
        (one,) = made(1, scope=scope)
        if healthy:
            ApprovalFactory(subscription=one)
            BalanceFactory(subscription=one)
    SubscriptionFactory(scope=other, status="paused")
    work(started())
    assert _counts(NOW.date()) == {acme: [1, 0, 2], None: [1, 0, 0]}
    Subscription.objects.filter(scope=acme).update(status="cancelled")
    work(started(now=NOW + timedelta(hours=1)))
    assert _counts(NOW.date()) == {None: [1, 0, 0]}
    gauge = REGISTRY.get_sample_value("riskdesk_risk_subscriptions", {"level": "LOW"})
    assert gauge == 1


def _counts(day: date) -> dict[Scope | None, list[int]]:
    found: dict[Scope | None, list[int]] = {}
    for level in ("LOW", "MEDIUM", "HIGH"):
        for row in LevelCount.objects.filter(day=day, risk_level=level).select_related("scope"):
            found.setdefault(row.scope, []).append(row.subscriptions)
    return found


def test_a_score_by_newer_facts_is_left_alone() -> None:
    (one,) = made(1)
    run = started()
    later = NOW + timedelta(minutes=3)
    recalculation.recalculate([one.pk], now=later)
    assert work(run).succeeded == 1
    assert RiskScore.objects.get().last_calculated_at == later


@pytest.mark.parametrize("failing", [1, 4, 7])
def test_one_bad_subscription_stops_no_other(failing: int) -> None:
    """The database itself refuses one of seven."""
    active = made(7)
    bad = active[failing - 1].pk
    with connection.cursor() as cursor:
        cursor.execute(
            f"ALTER TABLE subscription_risk_scores ADD CONSTRAINT refused CHECK (subscription_id <> '{bad}')"
        )
    run = work(started())
    assert (run.status, run.succeeded, run.failed) == (Status.FINISHED, 6, 1)
    assert set(RiskScore.objects.values_list("subscription_id", flat=True)) == {one.pk for one in active} - {bad}


def test_a_run_lets_detectors_judge_what_changed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[int] = []
    monkeypatch.setattr(recalculation, "JUDGED_TOGETHER", 4)
    monkeypatch.setattr(recalculation, "judge", lambda touched, **options: judged.append(len(touched)))
    made(7)
    work(started(batch_size=2))
    assert judged == [4, 3]
    work(started(now=NOW + timedelta(days=1)))
    assert judged == [4, 3]


def test_detectors_that_fail_leave_the_run_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recalculation, "judge", lambda touched, **options: 1 / 0)
    made(1)
    assert work(started()).status == Status.FINISHED


@pytest.mark.django_db(transaction=True)
def test_two_hands_calculate_each_once_and_note_them_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    active = made(23)
    threads, cursors, helping = set[int](), list[Any](), Event()
    lend = recalculation._lend_a_hand
    monkeypatch.setattr(recalculation, "_lend_a_hand", lambda: (lend(), helping.set()))

    def before(batch: int) -> None:
        assert helping.wait(10)
        threads.add(get_ident())

    seen = _watched(monkeypatch, before)
    run = work(started(batch_size=2), on_batch=lambda run: cursors.append(run.cursor))
    assert (run.status, run.succeeded, seen) == (Status.FINISHED, 23, [one.pk for one in active])
    assert cursors == [one.pk for one in active[1::2]] + [active[-1].pk]
    assert RiskScoreHistory.objects.count() == 23
    assert len(threads) == 2


@pytest.mark.django_db(transaction=True)
def test_a_killed_run_whose_second_connection_still_commits_is_waited_for() -> None:
    made(1)
    run = started()
    with connection.cursor() as cursor, connection.copy().cursor() as other:
        other.execute("SELECT pg_advisory_lock_shared(%s)", [recalculation._HELPING])
        cursor.execute("SET lock_timeout = '50ms'")
        with pytest.raises(OperationalError, match="lock timeout"):
            work(run)
        other.execute("SELECT pg_advisory_unlock_all()")
        cursor.execute("SET lock_timeout = 0")
        other.connection.close()
    assert work(run).status == Status.FINISHED
