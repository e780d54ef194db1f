"""People's decisions: bound to what was seen, once however often asked, by those who may, and on record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from apps.actions import services
from apps.actions.models import ActionCard, CardEvent, Execution
from apps.actions.reconcile import reconcile
from apps.actions.rules import Rule
from apps.core.models import Decision, User
from apps.core.roles import Role
from apps.escalation.models import RiskFlag
from apps.escalation.services import InvalidLevel
from tests.actions.factories import (
    MINUTES,
    NOW,
    CardFactory,
    Ledger,
    example_executor,
    example_rule,
    example_version,
    hit,
)
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db
MAY = [
    Role.OPERATOR,
    Role.SUPPORT_MANAGER,
    Role.SUPPORT_DIRECTOR,
    Role.RISK_MANAGER,
    Role.ADMINISTRATOR,
]
MAY_NOT = [role for role in Role if role not in MAY]


@pytest.fixture(autouse=True)
def ledger() -> Iterator[Ledger]:
    with example_rule(), example_executor() as ledger:
        yield ledger


@pytest.fixture
def rule() -> Rule:
    from apps.actions.rules import rules

    return rules["example"]


@pytest.fixture
def operator() -> User:
    return person(Role.OPERATOR)


def approve(card: ActionCard, actor: User, **options: Any) -> Execution:
    values = {"seen_version": card.version, "action": "note-down", "key": uuid4()} | options
    return services.approve(card_id=card.pk, actor=actor, **values)


def dismiss(card: ActionCard, actor: User, **options: Any) -> ActionCard:
    values = {"seen_version": card.version, "outcome": "benign", "reason": "Known."} | options
    return services.dismiss(card_id=card.pk, actor=actor, **values)


def escalate(card: ActionCard, actor: User, **options: Any) -> RiskFlag:
    values = {"seen_version": card.version, "level": 4, "reason": "Looks organised."} | options
    return services.escalate(card_id=card.pk, actor=actor, **values)


def note(card: ActionCard, actor: User, **options: Any) -> CardEvent:
    return services.add_note(card_id=card.pk, actor=actor, **({"text": "I called them."} | options))


def retry(card: ActionCard, actor: User, **options: Any) -> Execution:
    return services.retry(card_id=card.pk, actor=actor, **({"seen_version": card.version} | options))


def roll_back(card: ActionCard, actor: User, **options: Any) -> Execution:
    values = {"seen_version": card.version, "reason": "Wrong order.", "key": uuid4()} | options
    return services.roll_back(card_id=card.pk, actor=actor, **values)


def failed_card(actor: User, **fields: Any) -> ActionCard:
    card = CardFactory(status="failed", version=3, **fields)
    Execution.objects.create(
        card=card, action="note-down", status="failed", attempts=6, requested_by=actor, created_at=NOW
    )
    return card


def executed_card(actor: User, **fields: Any) -> ActionCard:
    card = CardFactory(status="executed", version=3, closed_at=NOW, **fields)
    Execution.objects.create(
        card=card, action="note-down", status="succeeded", attempts=1, requested_by=actor, created_at=NOW
    )
    return card


DECISIONS: dict[str, tuple[Callable[..., Any], Callable[..., ActionCard]]] = {
    "approve": (approve, lambda actor, **fields: CardFactory(**fields)),
    "dismiss": (dismiss, lambda actor, **fields: CardFactory(**fields)),
    "escalate": (escalate, lambda actor, **fields: CardFactory(**fields)),
    "note": (note, lambda actor, **fields: CardFactory(**fields)),
    "retry": (retry, failed_card),
    "roll_back": (roll_back, executed_card),
}
each_decision = pytest.mark.parametrize("name", DECISIONS)


def last_decision() -> Decision:
    return Decision.objects.latest("seq")


# Who may


def test_a_decision_of_the_past_is_dated_so_and_logged_as_written_now(operator: User) -> None:
    before = NOW - timedelta(days=3)
    card = dismiss(CardFactory(opened_at=before - timedelta(hours=1)), operator, now=before)
    card.refresh_from_db()
    assert card.closed_at == card.changed_at == card.events.get(kind="dismissed").at == before
    assert last_decision().at > before


@each_decision
@pytest.mark.parametrize("role", MAY)
def test_may(name: str, role: Role) -> None:
    decide, make = DECISIONS[name]
    actor = person(role)
    decide(make(actor), actor)
    assert last_decision().actor == actor


@each_decision
@pytest.mark.parametrize("role", MAY_NOT)
def test_may_not(name: str, role: Role) -> None:
    decide, make = DECISIONS[name]
    actor = person(role)
    with pytest.raises(services.NotAllowed):
        decide(make(actor), actor)
    assert not Decision.objects.exists()


@each_decision
def test_not_outside_the_scope_and_it_is_not_told_that_the_card_exists(name: str) -> None:
    decide, make = DECISIONS[name]
    ours, theirs = ScopeFactory(), ScopeFactory()
    actor = person(Role.OPERATOR, ours)
    decide(make(actor, scope=ours), actor)
    with pytest.raises(services.CardNotFound):
        decide(make(actor, scope=theirs), actor)


@each_decision
def test_not_with_a_closed_account(name: str) -> None:
    decide, make = DECISIONS[name]
    actor = person(Role.OPERATOR, is_active=False)
    with pytest.raises(services.NotAllowed):
        decide(make(actor), actor)


# What was seen


@pytest.mark.parametrize("name", [name for name in DECISIONS if name != "note"])
def test_a_decision_about_another_version_is_refused(name: str, operator: User) -> None:
    decide, make = DECISIONS[name]
    card = make(operator)
    with pytest.raises(services.CardChanged) as refused:
        decide(card, operator, seen_version=card.version - 1)
    assert refused.value.version == card.version
    assert not Decision.objects.exists()


def test_a_refusal_says_what_changed_from_what_was_seen_to_now(operator: User, rule: Rule) -> None:
    def sweep(n: int, **fields: Any) -> None:
        reconcile(rule=rule, version=example_version(), hits=[hit(**fields)], now=NOW + n * MINUTES, subjects=None)

    sweep(0, expected_impact=100)
    sweep(1, expected_impact=150)
    sweep(2, expected_impact=200, tier="policy")
    card = ActionCard.objects.get()

    with pytest.raises(services.CardChanged) as refused:
        approve(card, operator, seen_version=1)
    assert set(refused.value.changes) == {
        services.Change("Impact", "100.00", "200.00"),
        services.Change("Tier", "low", "policy"),
    }


def test_a_card_that_resolved_itself_meanwhile_says_so(operator: User, rule: Rule) -> None:
    for hits in ([hit()], []):
        reconcile(rule=rule, version=example_version(), hits=hits, now=NOW, subjects=None)
    with pytest.raises(services.CardChanged) as refused:
        dismiss(ActionCard.objects.get(), operator, seen_version=1)
    assert refused.value.changes == (services.Change("Status", "Open", "Resolved by itself"),)


@pytest.mark.parametrize("status", ["dismissed", "escalated", "executed", "resolved", "executing", "rolled_back"])
@pytest.mark.parametrize("decide", [approve, dismiss, escalate])
def test_what_is_decided_cannot_be_decided_again(status: str, decide: Callable[..., Any], operator: User) -> None:
    card = CardFactory(status=status)
    with pytest.raises(services.NotDecidable):
        decide(card, operator)


# Approve


def test_approving_starts_the_effect_and_records_it(operator: User, django_capture_on_commit_callbacks: Any) -> None:
    card = CardFactory()
    execution = approve(card, operator)

    card.refresh_from_db()
    assert (card.status, card.version, card.decided_by) == ("executing", 2, operator)
    assert (execution.status, execution.action, execution.requested_by) == ("pending", "note-down", operator)
    event = card.events.get()
    assert (event.kind, event.actor, event.card_version) == ("approved", operator, 2)
    decision = last_decision()
    assert (decision.scope, decision.action, decision.subject) == (
        "risk-monitoring", "card_approved", f"action_card:{card.pk}",
    )  # fmt: skip
    assert decision.payload["execution"] == str(execution.key)
    assert decision.payload["evidence"] == card.evidence[-1]["requestId"]
    assert decision.text.rationale == "Approved: Note it down."


def test_the_edited_draft_is_what_is_sent_and_stays_out_of_the_chain(operator: User) -> None:
    with example_rule(slug="writes", actions=("write",)), example_executor("write", sends_message=True):
        execution = approve(CardFactory(rule="writes"), operator, action="write", message="  Dear Ann, soon.  ")
    assert execution.payload == {"message": "Dear Ann, soon."}
    assert "Ann" not in str(last_decision().payload)


@pytest.mark.parametrize("message", ["", "   ", "x" * 10_001])
def test_a_message_must_say_something(operator: User, message: str) -> None:
    with (
        example_rule(slug="writes", actions=("write",)),
        example_executor("write", sends_message=True),
        pytest.raises(services.InvalidDecision) as refused,
    ):
        approve(CardFactory(rule="writes"), operator, action="write", message=message)
    assert "message" in refused.value.fields


def test_a_card_that_needs_a_persons_work_is_never_executed(operator: User) -> None:
    with pytest.raises(services.CannotExecute):
        approve(CardFactory(can_execute=False), operator)


def test_only_actions_that_the_card_offers_are_executed(operator: User) -> None:
    with example_executor("something-else"), pytest.raises(services.CannotExecute):
        approve(CardFactory(), operator, action="something-else")


def test_an_action_that_is_not_available_for_the_card_is_not_offered(operator: User, ledger: Ledger) -> None:
    ledger.available = lambda card: False  # type: ignore[method-assign]
    card = CardFactory()
    assert services.offered_actions(card) == []
    with pytest.raises(services.CannotExecute):
        approve(card, operator)


# The same click twice


def test_the_same_key_again_does_nothing_more(operator: User) -> None:
    for name, (decide, make) in DECISIONS.items():
        card, key = make(operator), uuid4()
        first = decide(card, operator, key=key)
        count = Decision.objects.count()
        assert decide(card, operator, key=key) == first, name
        assert Decision.objects.count() == count, name


def test_a_key_belongs_to_one_decision(operator: User) -> None:
    key = uuid4()
    card = CardFactory()
    approve(card, operator, key=key)
    with pytest.raises(services.InvalidDecision):
        approve(CardFactory(), operator, key=key)
    with pytest.raises(services.InvalidDecision):
        roll_back(executed_card(operator), operator, key=key)


def test_a_double_click_on_escalate_without_a_key_raises_one_flag(operator: User) -> None:
    card = CardFactory()
    assert escalate(card, operator) == escalate(card, operator)
    with pytest.raises(services.CardChanged):
        escalate(card, person(Role.OPERATOR))


# Dismiss


@pytest.mark.parametrize("outcome", ["true", "benign", "false"])
def test_dismissing_keeps_how_the_finding_turned_out(operator: User, outcome: str) -> None:
    card = dismiss(CardFactory(), operator, outcome=outcome, reason=" A known wholesaler. ")
    assert (card.status, card.outcome, card.outcome_reason) == ("dismissed", outcome, "A known wholesaler.")
    assert (card.decided_by, card.closed_at) == (operator, card.changed_at)
    assert last_decision().payload["outcome"] == outcome
    assert last_decision().text.rationale == "A known wholesaler."


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"outcome": "maybe"}, "outcome"),
        ({"outcome": "false", "reason": " "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
    ],
)
def test_an_outcome_must_be_one_of_three_and_a_false_alarm_needs_a_reason(
    operator: User, options: dict[str, str], field: str
) -> None:
    with pytest.raises(services.InvalidDecision) as refused:
        dismiss(CardFactory(), operator, **options)
    assert field in refused.value.fields


def test_a_failed_card_may_be_dismissed(operator: User) -> None:
    assert dismiss(failed_card(operator), operator).status == "dismissed"


# Several at once


def bulk(cards: list[ActionCard], actor: User, **options: Any) -> int:
    values = {"outcome": "benign", "reason": "A public holiday."} | options
    return services.bulk_dismiss(card_ids_versions={card.pk: card.version for card in cards}, actor=actor, **values)


def test_several_cards_are_dismissed_together_each_on_record(operator: User) -> None:
    cards = CardFactory.create_batch(3)
    assert bulk(cards, operator) == 3
    assert {card.status for card in ActionCard.objects.all()} == {"dismissed"}
    assert Decision.objects.filter(action="card_dismissed", payload__bulk=3).count() == 3


def test_one_that_changed_stops_all(operator: User) -> None:
    cards = CardFactory.create_batch(3)
    ActionCard.objects.filter(pk=cards[1].pk).update(version=2)
    with pytest.raises(services.CardChanged, match="1 of 3"):
        bulk(cards, operator)
    assert not ActionCard.objects.exclude(status="open").exists()


def test_one_outside_the_scope_stops_all() -> None:
    ours, theirs = ScopeFactory(), ScopeFactory()
    cards = [CardFactory(scope=ours), CardFactory(scope=theirs)]
    with pytest.raises(services.CardNotFound):
        bulk(cards, person(Role.OPERATOR, ours))
    assert not ActionCard.objects.exclude(status="open").exists()


@pytest.mark.parametrize("role", MAY_NOT)
def test_may_not_in_bulk(role: Role) -> None:
    with pytest.raises(services.NotAllowed):
        bulk([CardFactory()], person(role))


# Escalate


def test_escalating_raises_a_flag_on_the_cards_evidence(operator: User) -> None:
    scope = ScopeFactory()
    operator = person(Role.OPERATOR, scope)
    card = CardFactory(scope=scope)
    flag = escalate(card, operator, level=4)

    card.refresh_from_db()
    assert (card.status, card.decided_by) == ("escalated", operator)
    assert (flag.level, flag.scope, flag.source, flag.raised_by) == (4, scope, f"action_card:{card.pk}", operator)
    assert flag.evidence == card.evidence
    assert flag.description.startswith("Looks organised.")
    assert last_decision().payload["risk_flag"] == flag.pk
    assert card.events.get().data["flag"] == flag.pk


def test_escalating_needs_a_reason_and_a_level_of_the_ladder(operator: User) -> None:
    card = CardFactory()
    with pytest.raises(services.InvalidDecision):
        escalate(card, operator, reason=" ")
    with pytest.raises(InvalidLevel):
        escalate(card, operator, level=6)
    card.refresh_from_db()
    assert card.status == "open"
    assert not RiskFlag.objects.exists()


# Notes, retry, roll back


def test_a_note_leaves_the_version_alone(operator: User) -> None:
    card = CardFactory(status="dismissed")
    event = note(card, operator, text=" I called them. ")
    card.refresh_from_db()
    assert (event.kind, event.text, event.actor, card.version) == ("note", "I called them.", operator, 1)
    assert last_decision().action == "card_noted"


@pytest.mark.parametrize("text", ["", " ", "x" * 4_001])
def test_a_note_says_something(operator: User, text: str) -> None:
    with pytest.raises(services.InvalidDecision):
        note(CardFactory(), operator, text=text)


def test_trying_again_keeps_the_effects_own_key(operator: User) -> None:
    card = failed_card(operator)
    key = card.executions.get().key
    execution = retry(card, operator)
    card.refresh_from_db()
    assert (execution.key, execution.status, execution.attempts, execution.last_error) == (key, "pending", 0, "")
    assert card.status == "executing"


def test_only_a_failed_card_is_tried_again(operator: User) -> None:
    with pytest.raises(services.NotDecidable):
        retry(CardFactory(), operator)


def test_rolling_back_asks_for_the_opposite_and_the_card_stays_done_until_then(operator: User) -> None:
    card = executed_card(operator)
    execution = roll_back(card, operator)
    card.refresh_from_db()
    assert (execution.direction, execution.action, execution.status) == ("roll_back", "note-down", "pending")
    assert execution.payload["execution"] == card.executions.get(direction="execute").pk
    assert (card.status, card.version) == ("executed", 4)
    with pytest.raises(services.NotDecidable):
        roll_back(card, operator)


def test_rolling_back_needs_a_reason_and_something_done(operator: User) -> None:
    with pytest.raises(services.InvalidDecision):
        roll_back(executed_card(operator), operator, reason="")
    with pytest.raises(services.NotDecidable):
        roll_back(CardFactory(), operator)
