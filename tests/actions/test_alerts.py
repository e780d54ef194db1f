"""What people are told at once: refund rates, fraud patterns, silence of monitoring, rules that are mostly wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from prometheus_client import REGISTRY

from apps.actions import alerts, services, tasks
from apps.actions.models import ActionCard, RuleRun
from apps.actions.rules import Subjects, rules
from apps.actions.runs import run_rules
from apps.actions.versions import current_version
from apps.core.models import Notification, User
from apps.core.roles import Role
from tests.actions.factories import MINUTES, NOW, CardFactory, example_executor, example_rule, hit
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def operator() -> User:
    return person(Role.OPERATOR)


def titles(user: User) -> list[str]:
    return list(Notification.objects.filter(recipient=user).order_by("id").values_list("title", flat=True))


def watch_at(clock: Any, moment: datetime) -> int:
    clock.move_to(moment)
    return tasks.watch_monitoring()


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


# Refund rates and fraud patterns


def test_a_high_refund_rate_is_told_once_and_urgently(operator: User, clock: Any) -> None:
    CardFactory(rule="refund-daily-rate", kind="refund-anomaly-alert", target="Refund rate today")
    for n in range(3):
        watch_at(clock, NOW + n * timedelta(minutes=5))
    assert titles(operator) == ["High refund rate: Refund rate today"]
    assert Notification.objects.get(recipient=operator).urgent


def test_a_new_episode_is_told_again(operator: User) -> None:
    card = CardFactory(rule="refund-daily-rate", kind="refund-anomaly-alert", target="Refund rate")
    alerts.raise_alerts(NOW)
    ActionCard.objects.filter(pk=card.pk).update(status="resolved", closed_at=NOW)
    assert alerts.raise_alerts(NOW) == []
    CardFactory(rule="refund-daily-rate", kind="refund-anomaly-alert", target="Refund rate")
    alerts.raise_alerts(NOW)
    assert len(titles(operator)) == 2


def fraud(count: int, **fields: Any) -> None:
    for n in range(count):
        CardFactory(rule=f"fraud-{n}", kind="fraud-pattern-alert", **fields)


def test_several_fraud_patterns_are_told_once_a_day_for_each_scope(clock: Any) -> None:
    shop, other = ScopeFactory(name="The shop"), ScopeFactory()
    ours, theirs = person(Role.OPERATOR, shop), person(Role.OPERATOR, other)
    fraud(2, scope=shop)
    fraud(1, scope=other)
    assert watch_at(clock, NOW) == 0  # two patterns in one scope, one in another

    CardFactory(rule="fraud-2", kind="fraud-pattern-alert", scope=shop)
    for n in range(1, 3):
        assert watch_at(clock, NOW + n * MINUTES) == 1
    assert titles(ours) == ["Several fraud patterns at The shop"]
    assert titles(theirs) == []


def test_many_cards_of_one_pattern_are_not_several_patterns(operator: User) -> None:
    CardFactory.create_batch(10, rule="fraud-0", kind="fraud-pattern-alert")
    assert alerts.raise_alerts(NOW) == []


def test_old_patterns_do_not_count(operator: User) -> None:
    fraud(3, opened_at=NOW - timedelta(hours=25))
    assert alerts.raise_alerts(NOW) == []


# Monitoring down


def test_killed_sweeps_are_noticed_and_told_and_the_next_good_run_ends_it(operator: User, clock: Any) -> None:
    administrator, agent = person(Role.ADMINISTRATOR), person(Role.SUPPORT_AGENT)
    with example_rule([hit()]) as rule:
        run_rules(now=NOW, trigger="schedule", rules=["example"])

        # The next two sweeps start and their worker is killed: what stays are runs that never end.
        for n in (1, 2):
            RuleRun.objects.create(
                rule=rule.slug, version=current_version(rule), trigger="schedule", as_of=NOW + n * MINUTES,
                started_at=NOW + n * MINUTES,
            )  # fmt: skip
        assert watch_at(clock, NOW + timedelta(minutes=29)) == 0
        assert watch_at(clock, NOW + timedelta(minutes=31)) == 1
        assert watch_at(clock, NOW + timedelta(minutes=36)) == 1

        card = ActionCard.objects.get(rule="monitoring-down")
        assert (card.status, card.risk_tier, card.can_execute) == ("open", "policy", False)
        assert "2026-03-11 15:00" in card.draft
        assert titles(operator) == titles(administrator) == ["Monitoring is down"]
        assert titles(agent) == []
        assert value("riskdesk_monitoring_last_good_run_timestamp_seconds") == NOW.timestamp()
        ordered = ActionCard.objects.get(rule="example")
        label = services.freshness(ordered, now=timezone.now(), last_good=services.last_good_runs(["example"]))
        assert label == "stale: monitoring late, facts from 36 minutes ago"

        back = NOW + timedelta(hours=1)
        clock.move_to(back)
        run_rules(now=back, trigger="schedule", rules=["example"])
        assert watch_at(clock, back) == 0
    card.refresh_from_db()
    assert card.status == "resolved"
    assert RuleRun.objects.filter(rule="example", status="failed").count() == 2


def test_sweeps_that_run_but_always_fail_are_down_too(operator: User, clock: Any) -> None:
    def broken(**_: Any) -> Iterator[Any]:
        raise ZeroDivisionError
        yield

    with example_rule(broken):
        for n in range(3):
            clock.move_to(NOW + n * MINUTES)
            run_rules(now=NOW + n * MINUTES, trigger="schedule", rules=["example"])
        assert watch_at(clock, NOW + 3 * MINUTES) == 1
    assert titles(operator) == ["Monitoring is down"]


def test_runs_after_events_do_not_hide_a_silent_sweep(operator: User, clock: Any) -> None:
    with example_rule([hit()]):
        run_rules(now=NOW, trigger="schedule", rules=["example"])
        clock.move_to(NOW + 2 * MINUTES)
        touched = Subjects(frozenset({"order:1"}))
        run_rules(now=NOW + 2 * MINUTES, trigger="event", rules=["example"], subjects=touched)
        assert watch_at(clock, NOW + 3 * MINUTES) == 1


def test_before_the_first_run_nothing_is_expected(clock: Any) -> None:
    assert watch_at(clock, NOW) == 0


# Rules that are mostly wrong


def decided(rule: str, count: int, wrong: int, **fields: Any) -> None:
    for n in range(count):
        CardFactory(
            rule=rule, status="dismissed", outcome="false" if n < wrong else "true", closed_at=NOW - timedelta(days=1),
            opened_at=NOW - timedelta(days=2), **fields,
        )  # fmt: skip


def test_a_rule_that_is_mostly_wrong_is_told_as_a_warning(operator: User, clock: Any) -> None:
    with example_rule(title="Ageing"):
        decided("example", 20, 7)
        decided("another", 20, 6)
        decided("rare", 19, 19)
        assert watch_at(clock, NOW) == 1
    card = ActionCard.objects.get(rule="false-positives")
    assert (card.subject, card.target) == ("rule:example", "Rule: Ageing")
    assert "7 of 20 (35%)" in card.draft
    assert titles(operator) == ["High false-positive rate: Rule: Ageing"]
    assert not Notification.objects.get(recipient=operator).urgent


# Metrics


def test_gauges_follow_the_queue(clock: Any) -> None:
    CardFactory.create_batch(2)
    CardFactory(status="failed", kind="fraud-pattern-alert")
    CardFactory(status="executed", opened_at=NOW - MINUTES, closed_at=NOW - MINUTES, expected_impact=Decimal(80))
    decided("example", 4, 1)
    watch_at(clock, NOW)
    assert value("riskdesk_cards_waiting", kind="order-aging-alert") == 2
    assert value("riskdesk_cards_waiting", kind="fraud-pattern-alert") == 1
    assert value("riskdesk_cards_waiting", kind="carrier-delay-alert") == 0
    assert value("riskdesk_cards_false_positive_rate") == 1 / 5
    assert value("riskdesk_cards_escalation_rate") == 0
    assert value("riskdesk_revenue_protected", currency="USD") == 380
    watch_at(clock, NOW + timedelta(days=8))
    assert value("riskdesk_revenue_protected", currency="USD") == 0


def test_decisions_and_runs_are_counted_after_commit(
    operator: User, clock: Any, django_capture_on_commit_callbacks: Any
) -> None:
    labels = {"kind": "order-aging-alert", "decision": "dismissed", "outcome": "benign"}

    def counts() -> tuple[float, float]:
        opened = value("riskdesk_cards_opened_total", kind="order-aging-alert")
        return value("riskdesk_card_decisions_total", **labels) or 0, opened or 0

    before = counts()
    with django_capture_on_commit_callbacks(execute=True), example_rule([hit()]), example_executor():
        run_rules(now=NOW, trigger="schedule", rules=["example"])
        card = ActionCard.objects.get()
        services.dismiss(card_id=card.pk, seen_version=1, actor=operator, outcome="benign", reason="")
        assert counts() == before
    assert counts() == (before[0] + 1, before[1] + 1)


def test_the_watch_judges_by_its_own_rules_only() -> None:
    assert set(alerts.watch_rules()) == {"monitoring-down", "false-positives", "failing-control"}
    assert {rule.slug for rule in rules if rule.watch} == set(alerts.watch_rules())
