"""Idempotency keys in the wrong hands: other words, another person, another card at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from apps.actions import services
from apps.actions.models import ActionCard, CardEvent, Execution
from apps.core.models import Decision, User
from apps.core.roles import Role
from tests.actions.factories import CardFactory, Ledger, example_executor, example_rule
from tests.actions.test_api import BODIES, client, decide, each_decision, ready
from tests.actions.test_concurrency import kinds
from tests.core.factories import person
from tests.support.races import at_once

OTHER: dict[str, dict[str, Any]] = {
    "approve": {"action": "note-else"},
    "dismiss": {"outcome": "true"},
    "escalate": {"level": 5},
    "note": {"text": "Something else."},
    "roll-back": {"reason": "Something else."},
}


@pytest.fixture(autouse=True)
def ledger() -> Iterator[Ledger]:
    actions = ("note-down", "note-else")
    with example_rule(actions=actions), example_executor("note-else"), example_executor(sends_message=True) as ledger:
        yield ledger


@pytest.fixture
def worded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BODIES["approve"], "message", "Hello.")


@pytest.mark.django_db
@pytest.mark.usefixtures("worded")
@pytest.mark.parametrize(
    ("name", "changes"),
    [*OTHER.items(), ("approve", {"message": "Your account is closed."}), ("dismiss", {"reason": "No."})],
)
def test_a_key_with_other_words_is_refused_and_changes_nothing(name: str, changes: dict[str, Any]) -> None:
    operator = person(Role.RISK_MANAGER)
    card, headers, api = ready(name, operator), {"Idempotency-Key": str(uuid4())}, client(operator)
    assert decide(api, name, card, headers).status_code in (200, 202)
    before = (CardEvent.objects.count(), Decision.objects.count(), Execution.objects.count())
    answer = decide(api, name, card, headers, **changes)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")
    assert (CardEvent.objects.count(), Decision.objects.count(), Execution.objects.count()) == before


@pytest.mark.django_db
@pytest.mark.usefixtures("worded")
@each_decision
def test_a_key_of_another_person_is_refused(name: str) -> None:
    operator, other = person(Role.RISK_MANAGER), person(Role.RISK_MANAGER)
    card, headers = ready(name, operator), {"Idempotency-Key": str(uuid4())}
    assert decide(client(operator), name, card, headers).status_code in (200, 202)
    assert decide(client(other), name, card, headers).status_code == 422
    assert not CardEvent.objects.filter(actor=other).exists()


@pytest.mark.django_db(transaction=True)
def test_one_key_for_two_cards_at_once_starts_one_effect() -> None:
    for _ in range(5):
        cards, actor, key = [CardFactory(), CardFactory()], person(Role.OPERATOR), uuid4()
        results = at_once(*(_approval(card, actor, key) for card in cards))
        assert kinds(results) == {"Execution": 1, "InvalidDecision": 1}
        statuses = ActionCard.objects.filter(pk__in=[card.pk for card in cards]).values_list("status", flat=True)
        assert sorted(statuses) == ["executing", "open"]


def _approval(card: ActionCard, actor: User, key: Any) -> Callable[[], Execution]:
    return lambda: services.approve(card_id=card.pk, seen_version=1, actor=actor, action="note-else", key=key)
