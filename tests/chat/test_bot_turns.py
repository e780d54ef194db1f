"""Owing and paying answers: bursts, claims, people who join, messages that come meanwhile, workers that die, calls outside transactions."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.db import connection, connections, transaction

from apps.chat import conversations, people
from apps.chat.bot import owing, thinking, turns
from apps.chat.bot.replies import Reply
from apps.chat.models import BotTurn, Conversation, Handoff
from apps.chat.refusals import TurnPassed
from apps.chat.saying import say
from apps.core.roles import Role
from apps.knowledge.models import AskedQuestion
from tests.chat.bot import Talk, staffed
from tests.chat.factories import NOON, conversation
from tests.core.factories import person

pytestmark = pytest.mark.django_db


def second(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.fixture
def talk() -> Talk:
    return Talk(staffed()[0])


def says(row: Conversation, text: str, at: float) -> None:
    say(conversation_id=row.pk, author="customer", text=text, now=NOON + second(at), client_id=uuid4())


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("Where is my parcel?", 0), ("where is my parcel now", 0), ("4711", 0), ("Hello.", 0),
        ("hello", 1.2), ("my parcel", 1.2), ("i wonder whether", 1.2),
    ],
)  # fmt: skip
def test_what_looks_complete_is_due_at_once(talk: Talk, text: str, wait: float) -> None:
    says(talk.row, text, 0)
    assert BotTurn.objects.get().due_at == NOON + second(wait)


def test_a_burst_is_one_turn_that_waits_for_its_end(talk: Talk) -> None:
    says(talk.row, "hi", 0)
    says(talk.row, "i have a question", 0.8)
    says(talk.row, "are you a bot?", 1.5)
    turn = BotTurn.objects.get()
    assert (turn.turn, turn.due_at) == (3, NOON + second(1.5 + 1.2))
    assert turns.answer_due(NOON + second(2)) == 0
    assert turns.answer_due(NOON + second(3)) == 1
    assert [event.text[:14] for event in talk.row.events.filter(author="bot")] == ["I am a program"]


def test_a_customer_who_is_writing_is_waited_for_but_not_for_ever(talk: Talk) -> None:
    says(talk.row, "Hello.", 0)
    for at in (0.5, 1.5, 7.5, 9, 12):
        owing.still_writing(talk.row.pk, NOON + second(at))
    assert BotTurn.objects.get().due_at == NOON + second(7.5 + 1.2)


def test_a_claim_is_a_lease_and_a_second_worker_finds_nothing(talk: Talk) -> None:
    says(talk.row, "Hello.", 0)
    first = turns.claim(NOON + second(1))
    assert first
    assert turns.claim(NOON + second(2)) is None


def test_a_killed_worker_costs_a_lease_and_not_the_answer(talk: Talk) -> None:
    says(talk.row, "Hello.", 0)
    assert turns.claim(NOON + second(1))  # and the worker is gone
    assert turns.answer_due(NOON + second(20)) == 0
    assert turns.answer_due(NOON + second(22)) == 1
    assert BotTurn.objects.get().state == "done"
    assert talk.row.events.filter(author="bot").count() == 1


def test_a_turn_that_kills_every_worker_goes_to_a_person(talk: Talk) -> None:
    says(talk.row, "Hello.", 0)
    for round_ in range(turns.TRIES):
        assert turns.claim(NOON + second(1 + 25 * round_))
    assert turns.answer_due(NOON + second(100)) == 1
    assert (BotTurn.objects.get().state, Handoff.objects.get().reason) == ("failed", "failure")


def test_a_mistake_is_tried_again_and_then_a_person_has_it(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Reply:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(thinking, "reply_to", broken)
    says(talk.row, "Hello.", 0)
    for at in (1, 5, 15):
        turns.answer_due(NOON + second(at))
    turn = BotTurn.objects.get()
    assert (turn.state, turn.error, turn.outcome) == ("failed", "KeyError", "handed_off")
    talk.row.refresh_from_db()
    assert talk.row.state == "waiting"


def test_an_answer_is_void_when_the_customer_wrote_on(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = thinking.reply_to

    def slow(turn: BotTurn, now: object) -> Reply:
        reply = real(turn, now)  # type: ignore[arg-type]
        monkeypatch.setattr(thinking, "reply_to", real)
        says(talk.row, "Are you a bot?", 2)
        return reply

    monkeypatch.setattr(thinking, "reply_to", slow)
    says(talk.row, "Hello.", 0)
    turns.answer_due(NOON + second(1))
    assert not talk.row.events.filter(author="bot").exists()
    turns.answer_due(NOON + second(5))
    assert [event.text[:14] for event in talk.row.events.filter(author="bot")] == ["I am a program"]
    assert BotTurn.objects.get().state == "done"


def test_a_person_who_joins_silences_the_bot(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = person(Role.SUPPORT_AGENT, talk.row.scope)
    real = thinking.reply_to

    def slow(turn: BotTurn, now: object) -> Reply:
        reply = real(turn, now)  # type: ignore[arg-type]
        conversations.take(talk.row.pk, agent, None, NOON + second(2))
        return reply

    monkeypatch.setattr(thinking, "reply_to", slow)
    says(talk.row, "Hello.", 0)
    turns.answer_due(NOON + second(1))
    assert not talk.row.events.filter(author="bot").exists()
    assert BotTurn.objects.get().state == "cancelled"


def test_who_is_forgotten_while_the_bot_thinks_gets_no_answer_and_leaves_no_question(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = person(Role.SUPPORT_MANAGER, talk.row.scope)
    real = thinking.reply_to

    def slow(turn: BotTurn, now: object) -> Reply:
        reply = real(turn, now)  # type: ignore[arg-type]
        people.erase(visitor_id=talk.row.visitor_id, reason="Asked by letter", actor=manager, now=NOON + second(2))
        return reply

    monkeypatch.setattr(thinking, "reply_to", slow)
    says(talk.row, "What do you know of my lost parcel?", 0)
    monkeypatch.setattr(people, "forget_questions", lambda sources: 0)  # as if noted a moment later
    turns.answer_due(NOON + second(1))
    assert not talk.row.events.filter(author="bot").exists()
    assert set(AskedQuestion.objects.values_list("text", flat=True)) == {""}


def test_a_person_has_it_so_nothing_is_owed(talk: Talk) -> None:
    conversations.take(talk.row.pk, person(Role.SUPPORT_AGENT, talk.row.scope), None, NOON)
    says(talk.row, "Hello?", 1)
    assert not BotTurn.objects.exists()


def test_waiting_for_a_person_nothing_is_owed_unless_something_was_asked(talk: Talk) -> None:
    talk.ask("I want to talk to a human, my lamp arrived broken and I need a new one please")
    done = BotTurn.objects.count()
    talk.write("Hello? Is anybody there?")
    assert BotTurn.objects.count() == done


def test_nothing_is_stored_of_an_answer_whose_consequences_fail(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError

    says(talk.row, "Hello.", 0)
    turn = turns.claim(NOON + second(1))
    assert turn
    with pytest.raises(RuntimeError):
        turns.deliver(turn, Reply("Hi", "small_talk", effects=(fails,)), NOON + second(1))
    assert not talk.row.events.filter(author="bot").exists()
    assert BotTurn.objects.get().state == "due"


def test_a_worker_that_took_too_long_does_not_say_it_again(talk: Talk) -> None:
    says(talk.row, "Hello.", 0)
    slow = turns.claim(NOON + second(1))
    quick = turns.claim(NOON + second(30))
    assert slow
    assert quick
    turns.deliver(quick, Reply("Hello!", "small_talk"), NOON + second(30))
    with pytest.raises(TurnPassed):
        turns.deliver(slow, Reply("Hello!", "small_talk"), NOON + second(31))
    assert talk.row.events.filter(author="bot").count() == 1


def test_what_the_bot_can_do_is_a_closed_list() -> None:
    with pytest.raises(ValueError, match="no action"):
        Reply("Done.", "answered", action="refund")


@pytest.mark.django_db(transaction=True)
def test_the_answer_is_sought_outside_any_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Talk(staffed()[0])
    seen: list[bool] = []
    real = thinking.reply_to

    def watched(turn: BotTurn, now: object) -> Reply:
        seen.append(connection.in_atomic_block)
        return real(turn, now)  # type: ignore[arg-type]

    monkeypatch.setattr(thinking, "reply_to", watched)
    says(talk.row, "Hello.", 0)
    turns.answer_due(NOON + second(1))
    assert seen == [False]


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_pay_each_answer_once() -> None:
    rows = [conversation(staffed()[0]) for _ in range(6)]
    for row in rows:
        says(row, "Hello.", 0)

    def worker() -> None:
        try:
            turns.answer_due(NOON + second(1))
        finally:
            connections.close_all()

    workers = [threading.Thread(target=worker) for _ in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert [row.events.filter(author="bot").count() for row in rows] == [1] * 6


@pytest.mark.django_db(transaction=True)
def test_a_person_joins_in_the_middle_of_the_delivery() -> None:
    """Whoever has the row lock first wins, and the other sees it: never both a person and, after them, the bot's words."""
    talk = Talk(staffed()[0])
    agent = person(Role.SUPPORT_AGENT, talk.row.scope)
    says(talk.row, "Hello.", 0)
    turn = turns.claim(NOON + second(1))
    assert turn
    refused: list[bool] = []

    def deliver() -> None:
        try:
            turns.deliver(turn, Reply("Hello!", "small_talk"), NOON + second(1))
        except TurnPassed:
            refused.append(True)
        finally:
            connections.close_all()

    with transaction.atomic():
        conversations.take(talk.row.pk, agent, None, NOON + second(1))
        late = threading.Thread(target=deliver)
        late.start()
        late.join(0.3)
        assert late.is_alive()  # it waits for the row
    late.join()
    assert refused == [True]
    assert not talk.row.events.filter(author="bot").exists()


def test_the_tasks_do_what_the_services_do(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.chat import tasks
    from apps.chat.bot.lookup import proof

    asked_again: list[float] = []
    monkeypatch.setattr(tasks.answer_turn, "apply_async", lambda args, countdown: asked_again.append(countdown))
    with time_machine.travel(NOON, tick=False):
        says(talk.row, "hi", 0)
        tasks.answer_turn(talk.row.pk)
    assert asked_again == [1.2]
    with time_machine.travel(NOON + second(1.3), tick=False):
        tasks.answer_turn(talk.row.pk)
        tasks.answer_turn(talk.row.pk)
    assert talk.row.events.filter(author="bot").count() == 1
    with time_machine.travel(NOON + second(5), tick=False):
        says(talk.row, "Are you a bot?", 5)
        assert tasks.answer_due_turns() == 1
        row = proof.begin(talk.row, "order", "4711", "ada@example.com", NOON)
    with time_machine.travel(NOON + second(15), tick=False):
        assert tasks.send_codes() == 1
        assert tasks.send_codes() == 0
        assert tasks.send_code(row.pk)
        assert tasks.rescue_waiting() == 0


@pytest.mark.django_db(transaction=True)
def test_a_lost_queue_loses_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker is away when the message is stored: the message stands, and the sweep finds the turn."""
    from apps.chat import tasks

    def away(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(tasks.answer_turn, "apply_async", away)
    row = conversation(staffed()[0])
    says(row, "Hello.", 0)
    assert row.events.count() == 1
    assert turns.answer_due(NOON + second(5)) == 1


def test_the_time_to_the_answer_is_measured(talk: Talk) -> None:
    from prometheus_client import REGISTRY

    def count() -> float:
        return REGISTRY.get_sample_value("riskdesk_chat_bot_answer_seconds_count") or 0.0

    before = count()
    talk.ask("Hello.")
    assert count() == before + 1
