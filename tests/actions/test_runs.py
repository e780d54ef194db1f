"""Running rules: each by itself, one at a time, with a record of how it went."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection, connections

from apps.actions import runs
from apps.actions.detectors.monitoring_down import detect as monitoring_down
from apps.actions.freshness import freshness, last_good_runs
from apps.actions.models import ActionCard, CardEvent, RuleRun, RuleVersion
from apps.actions.rules import Hit, Rule, Subjects
from apps.actions.runs import run_rules
from apps.actions.versions import current_version
from apps.core.models import Decision
from tests.actions.factories import MINUTES, NOW, CardFactory, example_rule, hit

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _now() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def sweep(*slugs: str, now: Any = NOW, **options: Any) -> list[RuleRun]:
    return run_rules(now=now, trigger=options.pop("trigger", "schedule"), rules=slugs or None, **options)


def broken(**_: Any) -> Iterator[Hit]:
    """Yields one finding and then fails, as a rule does whose query times out half-way."""
    yield hit("order:1")
    raise ZeroDivisionError("no orders")


def test_a_run_is_recorded_with_its_counts() -> None:
    with example_rule([hit("order:1"), hit("order:2")]):
        (run,) = sweep("example")

    run.refresh_from_db()
    assert (run.status, run.trigger, run.as_of, run.started_at, run.finished_at) == (
        "succeeded", "schedule", NOW, NOW, NOW,
    )  # fmt: skip
    assert (run.hits, run.opened, run.updated, run.resolved, run.error) == (2, 2, 0, 0, "")


def test_a_failing_rule_stops_no_other_and_resolves_none_of_its_cards() -> None:
    CardFactory(rule="broken", subject="order:7")
    with example_rule(broken, slug="broken"), example_rule([hit()], slug="works"):
        failed, good = sweep("broken", "works")

    assert (failed.status, failed.error) == ("failed", "ZeroDivisionError: no orders")
    assert (good.status, good.opened) == ("succeeded", 1)
    assert ActionCard.objects.get(rule="broken").status == "open"
    assert ActionCard.objects.get(rule="broken").subject == "order:7"  # what it found before it failed is taken back


def test_a_database_error_in_a_rule_leaves_the_connection_usable() -> None:
    def wrong(**_: Any) -> Iterator[Hit]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        yield hit()

    with example_rule(wrong, slug="broken"), example_rule([hit()], slug="works"):
        failed, good = sweep("broken", "works")
    assert (failed.status, good.status) == ("failed", "succeeded")
    assert "division by zero" in RuleRun.objects.get(rule="broken").error


def test_only_a_run_that_succeeded_resolves() -> None:
    findings: list[Hit] = [hit()]
    state = {"fail": False}

    def detect(**_: Any) -> Iterator[Hit]:
        if state["fail"]:
            raise OSError("the network is away")
        yield from findings

    with example_rule(detect):
        sweep("example")
        findings.clear()
        state["fail"] = True
        sweep("example", now=NOW + MINUTES)
        assert ActionCard.objects.get().status == "open"
        state["fail"] = False
        sweep("example", now=NOW + 2 * MINUTES)
    assert ActionCard.objects.get().status == "resolved"


def test_thresholds_that_do_not_fit_the_schema_fail_the_rule_and_keep_its_cards() -> None:
    with example_rule([]) as rule:
        CardFactory(subject="order:1")
        RuleVersion.objects.create(rule=rule.slug, number=2, settings={"days": 0}, reason="Old", created_at=NOW)
        (run,) = sweep("example")
    assert run.status == "failed"
    assert ActionCard.objects.get().status == "open"


def test_a_disabled_rule_does_not_run_and_resolves_nothing() -> None:
    with example_rule([]) as rule:
        CardFactory(subject="order:1")
        RuleVersion.objects.create(
            rule=rule.slug, number=2, enabled=False, settings={}, reason="Too noisy", created_at=NOW
        )
        assert sweep("example") == []
    assert ActionCard.objects.get().status == "open"


def test_a_card_names_the_version_that_found_it_and_its_thresholds_are_used() -> None:
    def detect(*, settings: Any, **_: Any) -> Iterator[Hit]:
        yield hit(data={"days": settings.days})

    with example_rule(detect) as rule:
        current_version(rule)
        second = RuleVersion.objects.create(
            rule=rule.slug, number=2, settings={"days": 9}, reason="Slower", created_at=NOW
        )
        sweep("example")
    card = ActionCard.objects.get()
    assert card.rule_version == second
    assert card.evidence[0]["data"] == {"days": 9}


def test_a_rule_that_another_sweep_is_judging_is_skipped() -> None:
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor, example_rule([hit()]):
            cursor.execute("SELECT pg_advisory_lock(%s, hashtext('example'))", [runs._SWEEP])
            assert sweep("example") == []
            assert not RuleRun.objects.exists()
            cursor.execute("SELECT pg_advisory_unlock(%s, hashtext('example'))", [runs._SWEEP])
            assert len(sweep("example")) == 1
    finally:
        other.close()


def test_a_run_whose_worker_died_is_marked_by_the_next_one() -> None:
    with example_rule([]) as rule:
        dead = RuleRun.objects.create(
            rule=rule.slug, version=current_version(rule), trigger="schedule", as_of=NOW, started_at=NOW
        )
        sweep("example", now=NOW + MINUTES)
    dead.refresh_from_db()
    assert (dead.status, dead.error) == ("failed", "The worker stopped before the run ended.")
    assert dead.finished_at is not None


def test_the_first_sweep_after_a_downtime_finds_what_happened_meanwhile() -> None:
    findings = [hit("order:1")]
    with example_rule(lambda **_: iter(findings)):
        sweep("example")
        findings[:] = [hit("order:2"), hit("order:3")]
        later = NOW + timedelta(days=2)
        with time_machine.travel(later, tick=False):
            (run,) = sweep("example", now=later)
    assert (run.opened, run.resolved) == (2, 1)


def test_after_an_event_only_rules_that_listen_judge_only_what_was_touched() -> None:
    asked: list[Subjects | None] = []

    def detect(*, subjects: Subjects | None, **_: Any) -> Iterator[Hit]:
        asked.append(subjects)
        yield hit("order:1")

    touched = Subjects(frozenset({"order:1"}))
    CardFactory(rule="listens", subject="order:2")
    with (
        example_rule(detect, slug="listens", events=frozenset({"order.created"})),
        example_rule(broken, slug="deaf", events=frozenset({"refund.created"})),
    ):
        found = sweep(trigger="event", subjects=touched, events=frozenset({"order.created"}))

    ours = [run for run in found if run.rule == "listens"]
    assert asked == [touched]
    assert "deaf" not in {run.rule for run in found}
    assert (ours[0].opened, ours[0].resolved) == (1, 0)
    assert ActionCard.objects.get(subject="order:2").status == "open"


def test_an_event_that_changed_nothing_leaves_no_row() -> None:
    with example_rule([]):
        (run,) = sweep("example", trigger="event", subjects=Subjects(frozenset({"order:1"})))
    assert run.status == "succeeded"
    assert not RuleRun.objects.exists()


def test_runs_after_events_are_no_heartbeat() -> None:
    with example_rule([hit()]):
        sweep("example", trigger="event", subjects=Subjects(frozenset({"order:1"})))
        assert last_good_runs(["example"]) == {}
        sweep("example")
        assert last_good_runs(["example", "unknown"]) == {"example": NOW}


def test_a_card_whose_rule_is_silent_says_that_it_is_stale() -> None:
    with example_rule([hit(observed_at=NOW)]):
        sweep("example")
        card, good = ActionCard.objects.get(), last_good_runs(["example"])
        assert freshness(card, now=NOW + timedelta(minutes=4), last_good=good) == "4 minutes ago"
        late = freshness(card, now=NOW + timedelta(hours=3), last_good=good)
    assert late == "stale: monitoring late, facts from 3 hours ago"


def test_rules_of_a_day_are_judged_by_its_first_sweep_only() -> None:
    with example_rule([hit()], slug="example", once_a_day=True):
        assert _ran(run_rules(now=NOW, trigger="schedule"))
        assert not _ran(run_rules(now=NOW + MINUTES, trigger="schedule"))
        assert not _ran(run_rules(now=NOW, trigger="event", subjects=Subjects(frozenset({"order:1"}))))
        assert _ran(run_rules(now=NOW + timedelta(days=1), trigger="schedule"))
        assert _ran(sweep("example", now=NOW + timedelta(days=1)))  # asked for by name


def test_a_failed_rule_of_a_day_is_judged_again_by_the_next_sweep() -> None:
    with example_rule(broken, once_a_day=True):
        run_rules(now=NOW, trigger="schedule")
        assert _ran(run_rules(now=NOW + MINUTES, trigger="schedule"))


def _ran(found: list[RuleRun]) -> bool:
    return "example" in {run.rule for run in found}


def test_a_dry_run_says_what_would_happen_and_writes_nothing() -> None:
    CardFactory(subject="order:9")
    with example_rule([hit("order:1")]) as rule:
        current_version(rule)
        before = [list(model.objects.values()) for model in (ActionCard, CardEvent, Decision, RuleRun, RuleVersion)]
        (run,) = sweep("example", dry_run=True)
    after = [list(model.objects.values()) for model in (ActionCard, CardEvent, Decision, RuleRun, RuleVersion)]
    assert (run.pk, run.opened, run.resolved) == (None, 1, 1)
    assert after == before


def test_the_time_limit_is_recorded_and_passed_on() -> None:
    def slow(**_: Any) -> Iterator[Hit]:
        raise SoftTimeLimitExceeded
        yield

    with example_rule(slow), pytest.raises(SoftTimeLimitExceeded):
        sweep("example")
    assert RuleRun.objects.get().error == "The time limit of the task was reached."


def test_a_query_that_hangs_fails_its_rule_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def hanging(**_: Any) -> Iterator[Hit]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(20)")
        yield hit()

    monkeypatch.setattr(runs, "STATEMENT_TIMEOUT", "1500ms")
    with example_rule(hanging, slug="broken"), example_rule([hit()], slug="works"):
        failed, good = sweep("broken", "works")
    assert (failed.status, good.status) == ("failed", "succeeded")
    assert "statement timeout" in failed.error


def test_a_sweep_begins_with_the_rules_that_waited_longest() -> None:
    order: list[str] = []

    def noted(slug: str) -> Any:
        def detect(**_: Any) -> Iterator[Hit]:
            order.append(slug)
            yield from ()

        return detect

    with example_rule(noted("a"), slug="a"), example_rule(noted("b"), slug="b"), example_rule(noted("c"), slug="c"):
        sweep("b")
        with time_machine.travel(NOW + MINUTES, tick=False):
            sweep("a")
        order.clear()
        run_rules(now=NOW + 2 * MINUTES, trigger="schedule")
    assert order == ["c", "b", "a"]


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(KeyError):
        sweep("no-such-rule")


def test_the_watch_is_not_part_of_the_sweep(db: None) -> None:
    assert "monitoring-down" not in {run.rule for run in run_rules(now=NOW, trigger="schedule")}
    assert "monitoring-down" in {run.rule for run in sweep("monitoring-down")}
    assert monitoring_down.__doc__


def test_rules_get_the_moment_that_is_judged(rule_now: list[Any]) -> None:
    past = NOW - timedelta(days=2_000)

    def detect(*, now: Any, **_: Any) -> Iterator[Hit]:
        rule_now.append(now)
        yield hit(observed_at=now)

    with example_rule(detect) as rule:
        sweep("example", now=past, trigger="command")
        card = ActionCard.objects.get()
    assert rule_now == [past]
    assert card.opened_at == NOW  # found by hand now, about the past
    assert RuleRun.objects.get(rule=rule.slug).as_of == past


@pytest.fixture
def rule_now() -> list[Any]:
    return []


def test_every_rule_has_words_for_its_cards(db: None) -> None:
    from apps.actions.rules import rules

    for rule in rules:
        assert isinstance(rule, Rule)
        assert all([rule.description, rule.mitigation, rule.escalation, rule.rollback]), rule.slug
        assert rule.settings().model_dump(mode="json") == rule.settings.model_validate({}).model_dump(mode="json")


def test_records_of_runs_are_kept_for_ninety_days() -> None:
    with example_rule([]):
        (old,) = sweep("example")
        (young,) = sweep("example")
    for run, age in ((old, 91), (young, 89)):
        RuleRun.objects.filter(pk=run.pk).update(started_at=NOW - timedelta(days=age))

    assert runs.forget_old_runs(NOW) == 1
    assert RuleRun.objects.get() == young
