"""Races, with real threads and real transactions: each has one winner, and the others are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from apps.actions import execute, services
from apps.actions.models import ActionCard, CardEvent, Execution, RuleRun
from apps.actions.reconcile import reconcile
from apps.actions.rules import Hit, Rule, Subjects
from apps.actions.runs import run_rules
from apps.actions.versions import current_version, new_version
from apps.core.errors import DomainError
from apps.core.models import Decision, User
from apps.core.roles import Role
from apps.escalation.models import RiskFlag
from tests.actions.factories import (
    NOW,
    CardFactory,
    Ledger,
    example_executor,
    example_rule,
    example_version,
    hit,
)
from tests.core.factories import person
from tests.support.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def ledger() -> Iterator[Ledger]:
    with example_executor() as ledger:
        yield ledger


def kinds(results: list[Any]) -> Counter[str]:
    """How often each kind of result came; every error of the database is a failure of the test."""
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, DomainError):
            raise result
    return Counter(type(result).__name__ for result in results)


def test_two_runs_at_once_open_each_card_once() -> None:
    with example_rule([hit(f"order:{n}") for n in range(50)]) as rule:
        version = example_version()

        def run() -> None:
            reconcile(rule=rule, version=version, hits=rule.detect(now=NOW, settings=rule.settings(), subjects=None),
                      now=NOW, subjects=None)  # fmt: skip

        kinds(at_once(run, run, run))
    assert ActionCard.objects.count() == 50
    assert CardEvent.objects.filter(kind="opened").count() == 50
    assert Decision.objects.filter(action="order_aging_detected").count() == 50


def test_two_runs_at_once_update_a_card_once() -> None:
    with example_rule() as rule:
        version = example_version()
        reconcile(rule=rule, version=version, hits=[hit()], now=NOW, subjects=None)

        def run() -> None:
            reconcile(rule=rule, version=version, hits=[hit(draft="Waits for 5 days.")], now=NOW, subjects=None)

        kinds(at_once(run, run, run))
    card = ActionCard.objects.get()
    assert (card.version, len(card.evidence)) == (2, 2)


def test_sweeps_of_several_workers_judge_each_rule_once_at_a_time() -> None:
    under_way: list[int] = []
    seen: list[int] = []

    def detect(**_: Any) -> Iterator[Hit]:
        under_way.append(1)
        seen.append(len(under_way))
        yield hit()
        under_way.pop()

    with example_rule(detect) as rule:
        current_version(rule)

        def sweep() -> list[RuleRun]:
            return run_rules(now=NOW, trigger="schedule", rules=["example"])

        def event() -> list[RuleRun]:
            return run_rules(now=NOW, trigger="event", rules=["example"], subjects=Subjects(frozenset({"order:1"})))

        kinds(at_once(sweep, sweep, event, event))
    assert max(seen) == 1
    assert ActionCard.objects.count() == 1
    assert not RuleRun.objects.exclude(status="succeeded").exists()


# Decisions


@pytest.fixture
def rule() -> Iterator[Rule]:
    with example_rule() as rule:
        yield rule


def deciders(count: int) -> list[User]:
    return [person(Role.OPERATOR) for _ in range(count)]


def test_of_many_people_who_decide_at_once_one_wins_and_the_others_are_told(rule: Rule) -> None:
    card = CardFactory()
    one, two, three, four = deciders(4)
    common = {"card_id": card.pk, "seen_version": 1}
    results = at_once(
        lambda: services.approve(**common, actor=one, action="note-down", key=uuid4()),
        lambda: services.dismiss(**common, actor=two, outcome="benign", reason=""),
        lambda: services.escalate(**common, actor=three, level=3, reason="Odd."),
        lambda: services.bulk_dismiss(card_ids_versions={card.pk: 1}, actor=four, outcome="benign", reason=""),
    )
    assert kinds(results)["CardChanged"] == 3
    card.refresh_from_db()
    assert card.version == 2
    assert Decision.objects.filter(subject=f"action_card:{card.pk}").count() == 1
    assert Execution.objects.count() + RiskFlag.objects.count() <= 1


@pytest.mark.parametrize("name", ["approve", "dismiss", "escalate", "note"])
def test_a_double_click_does_it_once_and_answers_the_same(rule: Rule, name: str) -> None:
    card, (actor,), key = CardFactory(), deciders(1), uuid4()
    seen = {"card_id": card.pk, "seen_version": 1, "actor": actor, "key": key}
    click: Callable[[], Any] = {
        "approve": lambda: services.approve(**seen, action="note-down").pk,
        "dismiss": lambda: services.dismiss(**seen, outcome="benign", reason="").version,
        "escalate": lambda: services.escalate(**seen, level=3, reason="Odd.").pk,
        "note": lambda: services.add_note(card_id=card.pk, actor=actor, text="Called.", key=key).pk,
    }[name]
    results = at_once(click, click, click)
    kinds(results)
    assert len(set(results)) == 1
    assert CardEvent.objects.filter(card=card).count() == 1
    assert Decision.objects.filter(subject=f"action_card:{card.pk}").count() == 1


def test_a_decision_and_a_sweep_that_changes_the_card_take_turns(rule: Rule) -> None:
    cards = [CardFactory(subject=f"order:{n}") for n in range(20)]
    (actor,), version = deciders(1), example_version()
    hits = [hit(f"order:{n}", draft="Changed.") for n in range(20)]

    def decide() -> Counter[str]:
        told: Counter[str] = Counter()
        for card in reversed(cards):
            try:
                services.dismiss(card_id=card.pk, seen_version=1, actor=actor, outcome="benign", reason="")
                told["dismissed"] += 1
            except services.CardChanged as refused:
                told[f"changed: {refused.changes[0].label}"] += 1
        return told

    decided, swept = at_once(
        decide, lambda: reconcile(rule=rule, version=version, hits=hits, now=NOW, subjects=None).updated
    )
    assert isinstance(decided, Counter), decided
    assert decided.total() == 20
    # Whoever came first at a card won it: no decision was lost, and no card is live beside a decided one.
    assert ActionCard.objects.filter(status="dismissed").count() == decided["dismissed"]
    assert swept == decided["changed: Description"]
    assert ActionCard.objects.count() == 20


def test_bulk_and_sweep_lock_in_one_order(rule: Rule) -> None:
    cards = [CardFactory(subject=f"order:{n}") for n in range(30)]
    (actor,), version = deciders(1), example_version()
    seen = {card.pk: 1 for card in reversed(cards)}
    results = at_once(
        lambda: services.bulk_dismiss(card_ids_versions=seen, actor=actor, outcome="benign", reason=""),
        lambda: reconcile(rule=rule, version=version, hits=[], now=NOW, subjects=None),
    )
    kinds(results)
    assert ActionCard.objects.filter(status="open").count() == 0


def test_a_decision_waits_for_the_run_that_changes_its_card_and_is_refused(rule: Rule) -> None:
    card, (actor,), version = CardFactory(subject="order:1"), deciders(1), example_version()
    changed = Event()

    def run() -> None:
        with transaction.atomic():
            reconcile(rule=rule, version=version, hits=[hit(tier="policy")], now=NOW, subjects=None)
            changed.set()
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.2)")

    def decide() -> Any:
        assert changed.wait(10)
        return services.approve(card_id=card.pk, seen_version=1, actor=actor, action="note-down", key=uuid4())

    _, refused = at_once(run, decide)
    assert isinstance(refused, services.CardChanged)
    assert services.Change("Tier", "low", "policy") in refused.changes


# Effects and versions


def test_of_many_workers_one_does_the_effect(rule: Rule, ledger: Ledger) -> None:
    card, (actor,) = CardFactory(), deciders(1)
    made = services.approve(card_id=card.pk, seen_version=1, actor=actor, action="note-down", key=uuid4())
    kinds(at_once(*[lambda: execute.execute(made.pk)] * 4))
    assert ledger.done == [("execute", str(made.key))]
    assert CardEvent.objects.filter(kind="executed").count() == 1


def test_people_who_save_thresholds_at_once_get_two_versions(rule: Rule) -> None:
    one, two = deciders(2)

    def save(actor: User, days: int) -> Callable[[], int]:
        return lambda: (
            new_version(rule=rule, settings={"days": days}, enabled=True, reason="Slower.", actor=actor).number
        )

    assert sorted(at_once(save(one, 4), save(two, 5))) == [2, 3]


def test_workers_that_start_at_once_make_one_first_version(rule: Rule) -> None:
    results = at_once(*[lambda: current_version(rule).pk] * 4)
    assert len(set(results)) == 1
