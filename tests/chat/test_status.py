"""Where a conversation stands for its customer: queue, expected wait, hours and promise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from apps.chat.models import Conversation, Handoff
from apps.chat.sockets.status import Statuses
from apps.chat.status import measured, queue_position, status_of
from apps.core.models import Scope
from apps.escalation.models import Category, Team
from tests.chat.factories import NOON, chat_site, conversation
from tests.core.factories import ScopeFactory, person
from tests.escalation.factories import calendar, minutes, team

pytestmark = pytest.mark.django_db

State = Conversation.State
TEN = datetime(2026, 3, 2, 10, tzinfo=UTC)  # Monday, 11:00 in Berlin; closed there from 11:00 to 12:00 UTC


@pytest.fixture
def scope() -> Scope:
    return ScopeFactory()


@pytest.fixture
def berlin(scope: Scope) -> Team:
    return team(scope, calendar())


def waits(of: Team, since: datetime, **fields: object) -> Conversation:
    return conversation(chat_site(of.scope, team=of), state=State.WAITING, waiting_since=since, **fields)


def taken(of: Team, asked: datetime, after: float) -> None:
    talk = conversation(chat_site(of.scope, team=of))
    Handoff.objects.create(
        conversation=talk, context=1, reason="wish", team=of, transcript_to_seq=0, requested_at=asked,
        accepted_at=asked + minutes(after),
    )  # fmt: skip


def test_the_longest_waiting_of_a_team_is_next(berlin: Team) -> None:
    other = team()
    second, first = waits(berlin, TEN), waits(berlin, TEN - minutes(5))
    elsewhere = waits(other, TEN - minutes(9))
    assert [queue_position(one) for one in (first, second, elsewhere)] == [1, 2, 1]
    assert queue_position(conversation(chat_site(berlin.scope))) is None


def test_without_a_history_nothing_is_expected(berlin: Team) -> None:
    taken(berlin, TEN - minutes(60), 3)
    stands = status_of(waits(berlin, TEN), TEN)
    assert (stands.queue_position, stands.expected_wait_minutes, stands.open) == (1, None, True)


def test_the_wait_is_expected_from_how_the_queue_moved(berlin: Team) -> None:
    for n in range(6):  # one every four minutes, each after a wait of three
        taken(berlin, TEN - minutes(100 - 4 * n), 3)
    pace = measured(berlin, TEN)
    assert pace is not None
    assert (pace.wait, pace.step) == (3, 4)
    first, second = waits(berlin, TEN - minutes(1)), waits(berlin, TEN)
    assert [status_of(one, TEN).expected_wait_minutes for one in (first, second)] == [4, 8]


def test_nights_and_breaks_do_not_count_as_waiting(berlin: Team) -> None:
    evening = datetime(2026, 2, 27, 15, 58, tzinfo=UTC)  # two minutes before Friday's end
    for n in range(6):
        taken(berlin, evening, (TEN - minutes(110) - evening).total_seconds() / 60 + n)
    pace = measured(berlin, TEN)
    assert pace is not None
    assert pace.wait == 2 + 10 + 2.5  # Friday's rest, and Monday from 8:00 UTC on
    assert pace.step == 1


def test_old_waits_are_forgotten(berlin: Team) -> None:
    for _ in range(6):
        taken(berlin, TEN - timedelta(days=20), 3)
    assert measured(berlin, TEN) is None


def test_a_closed_team_promises_by_its_calendar(berlin: Team) -> None:
    night = datetime(2026, 3, 2, 20, tzinfo=UTC)
    stands = status_of(waits(berlin, night), night)
    assert stands.open is False
    assert stands.expected_wait_minutes is None
    assert stands.opens_at == datetime(2026, 3, 3, 8, tzinfo=UTC)
    assert stands.answer_by == datetime(2026, 3, 3, 9, tzinfo=UTC)


def test_the_category_says_how_soon(berlin: Team) -> None:
    urgent = Category.objects.create(slug="urgent", name="Urgent", team=berlin, first_response=timedelta(minutes=15))
    assert status_of(waits(berlin, TEN, category=urgent), TEN).answer_by == TEN + minutes(15)


def test_who_was_answered_is_promised_nothing_more(berlin: Team) -> None:
    ada = person("Support Agent", berlin.scope, first_name="Ada")  # type: ignore[arg-type]
    talk = conversation(
        chat_site(berlin.scope, team=berlin), state=State.PERSON, assignee=ada, first_response_at=TEN, team=berlin
    )
    stands = status_of(talk, TEN)
    assert (stands.answer_by, stands.assignee_name, stands.queue_position) == (None, "Ada", None)


def test_a_team_without_hours_promises_nothing(scope: Scope) -> None:
    never = team(scope, calendar(hours=()))
    stands = status_of(waits(never, NOON), NOON)
    assert (stands.open, stands.answer_by, stands.opens_at) == (False, None, None)
    assert stands.data()["answer_by"] is None


def test_who_is_given_on_waited_once(berlin: Team) -> None:
    for n in range(6):
        taken(berlin, TEN - minutes(100 - 4 * n), 3)
    for given in Handoff.objects.all():  # each from hand to hand, and three back to the own queue
        facts = {
            "conversation": given.conversation,
            "context": 1,
            "reason": "transfer",
            "team": berlin,
            "transcript_to_seq": 0,
        }
        at = given.accepted_at + minutes(1)
        Handoff.objects.create(**facts, requested_at=at, accepted_at=at)
        Handoff.objects.create(**facts, requested_at=at, accepted_at=at + minutes(30))
    pace = measured(berlin, TEN)
    assert pace is not None
    assert (pace.wait, pace.step) == (3, 4)


def test_what_changes_while_a_status_is_looked_up_is_told_too() -> None:
    """Somebody joins and resolves at once: the page is not left with "you talk to Ada"."""
    told: list[str] = []
    looked_up: list[Callable[[dict[str, Any]], None]] = []
    statuses = Statuses()
    statuses.batches = SimpleNamespace(submit=lambda _pk, then: looked_up.append(then))  # type: ignore[assignment]
    room: Any = SimpleNamespace(pk=7, tell=lambda _kind, **facts: told.append(facts["state"]))
    statuses.ask(room)
    statuses.ask(room)
    statuses.ask(room)
    assert len(looked_up) == 1
    looked_up[0]({"state": "person"})
    looked_up[1]({"state": "resolved"})
    assert (told, len(looked_up)) == (["person", "resolved"], 2)
