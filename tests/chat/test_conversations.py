"""What staff does with conversations: who may, what changes, and what the bot may still say."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from apps.chat import conversations
from apps.chat.models import BotTurn, Conversation, Handoff
from apps.chat.refusals import (
    CannotGive,
    ConversationChanged,
    ConversationNotFound,
    EmptyMessage,
    NotAllowed,
    NotYours,
    TurnPassed,
    WrongState,
)
from apps.chat.replies import of_conversations
from apps.chat.saying import say
from apps.core.models import Decision, Notification, Scope, User
from apps.core.roles import Role
from tests.chat.factories import NOON, chat_site, conversation, says
from tests.core.factories import ScopeFactory, person
from tests.escalation.factories import team

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(minutes=3)
State = Conversation.State


@pytest.fixture
def scope() -> Scope:
    return ScopeFactory()


@pytest.fixture
def ada(scope: Scope) -> User:
    return person(Role.SUPPORT_AGENT, scope, first_name="Ada", username="ada")


@pytest.fixture
def ben(scope: Scope) -> User:
    return person(Role.SUPPORT_AGENT, scope, first_name="Ben", username="ben")


@pytest.fixture
def waiting(scope: Scope) -> Conversation:
    made = conversation(chat_site(scope), state=State.WAITING)
    says(made, "Where is my parcel?")
    return made


def due(of: Conversation) -> BotTurn:
    """The answer that the bot owes."""
    facts = {"context": of.context, "turn": of.turn, "up_to_seq": of.seq, "due_at": NOON, "created_at": NOON}
    return BotTurn.objects.get_or_create(conversation=of, state=BotTurn.State.DUE, defaults=facts)[0]


def handoff(of: Conversation) -> Handoff:
    return Handoff.objects.create(
        conversation=of, context=of.context, reason="wish", transcript_to_seq=of.seq, requested_at=NOON
    )


def test_taking_gives_the_conversation_and_accepts_the_handoff(waiting: Conversation, ada: User) -> None:
    asked = handoff(waiting)
    taken = conversations.take(waiting.pk, ada, waiting.version, LATER)
    assert (taken.state, taken.assignee, taken.waiting_since) == (State.PERSON, ada, None)
    assert taken.version == waiting.version + 1
    asked.refresh_from_db()
    assert (asked.accepted_at, asked.accepted_by) == (LATER, ada)
    told = taken.events.last()
    assert (told.kind, told.text, told.data["what"], told.internal) == (
        "assigned", "Ada joined the conversation.", "taken", False,
    )  # fmt: skip
    assert Decision.objects.get(action="conversation_taken").subject == f"conversation:{waiting.pk}"


def test_taking_twice_changes_nothing(waiting: Conversation, ada: User) -> None:
    first = conversations.take(waiting.pk, ada, waiting.version, LATER)
    again = conversations.take(waiting.pk, ada, waiting.version, LATER)
    assert (again.seq, again.version) == (first.seq, first.version)


def test_of_two_who_take_what_they_saw_the_second_is_refused(waiting: Conversation, ada: User, ben: User) -> None:
    conversations.take(waiting.pk, ada, waiting.version, LATER)
    with pytest.raises(ConversationChanged) as refused:
        conversations.take(waiting.pk, ben, waiting.version, LATER)
    waiting.refresh_from_db()
    assert waiting.assignee == ada
    assert refused.value.version == waiting.version


def test_a_person_who_takes_over_silences_the_bot(scope: Scope, ada: User) -> None:
    talk = conversation(chat_site(scope))
    says(talk, "Hello?")
    turn = due(talk)
    conversations.take(talk.pk, ada, talk.version, LATER)
    turn.refresh_from_db()
    assert turn.state == BotTurn.State.CANCELLED
    with pytest.raises(TurnPassed):
        say(conversation_id=talk.pk, author="bot", text="I think ...", now=LATER, turn=turn.turn)


@pytest.mark.parametrize("act", ["take", "reply", "note", "resolve", "assign", "transfer", "reopen"])
@pytest.mark.parametrize("who", ["auditor", "stranger"])
def test_who_may_not_is_refused_and_nothing_changes(waiting: Conversation, ben: User, act: str, who: str) -> None:
    actor = person(Role.AUDITOR) if who == "auditor" else person(Role.SUPPORT_AGENT, ScopeFactory())
    acts = {
        "take": lambda: conversations.take(waiting.pk, actor, None, LATER),
        "reply": lambda: conversations.reply(waiting.pk, actor, text="Hi", client_id=uuid4(), now=LATER),
        "note": lambda: conversations.note(waiting.pk, actor, text="Hi", client_id=uuid4(), now=LATER),
        "resolve": lambda: conversations.resolve(waiting.pk, actor, seen_version=None, now=LATER),
        "assign": lambda: conversations.assign(waiting.pk, actor, to=ben, seen_version=None, now=LATER),
        "transfer": lambda: conversations.transfer(waiting.pk, actor, to=ben, why="x", seen_version=None, now=LATER),
        "reopen": lambda: conversations.reopen(waiting.pk, actor, None, LATER),
    }
    with pytest.raises(NotAllowed if who == "auditor" else ConversationNotFound):
        acts[act]()
    before = waiting.version, waiting.seq
    waiting.refresh_from_db()
    assert (waiting.version, waiting.seq) == before


def test_only_the_one_who_has_it_answers(waiting: Conversation, ada: User, ben: User) -> None:
    with pytest.raises(NotYours):
        conversations.reply(waiting.pk, ada, text="Hello", client_id=uuid4(), now=LATER)
    conversations.take(waiting.pk, ada, None, LATER)
    with pytest.raises(NotYours):
        conversations.reply(waiting.pk, ben, text="Hello", client_id=uuid4(), now=LATER)
    said = conversations.reply(waiting.pk, ada, text="Hello", client_id=uuid4(), now=LATER)
    assert (said.event.author, said.event.user, said.event.data["name"]) == ("agent", ada, "Ada")


def test_the_first_answer_is_kept_as_such_and_a_retry_stores_once(waiting: Conversation, ada: User) -> None:
    conversations.take(waiting.pk, ada, None, NOON)
    key = uuid4()
    first = conversations.reply(waiting.pk, ada, text="Hello", client_id=key, now=LATER)
    again = conversations.reply(waiting.pk, ada, text="Hello", client_id=key, now=LATER + timedelta(hours=1))
    conversations.reply(waiting.pk, ada, text="More", client_id=uuid4(), now=LATER + timedelta(hours=1))
    waiting.refresh_from_db()
    assert again.repeated
    assert again.event == first.event
    assert waiting.first_response_at == LATER


def test_notes_are_for_staff_only_and_redacted(waiting: Conversation, ada: User) -> None:
    said = conversations.note(
        waiting.pk, ada, text="Card 4111 1111 1111 1111 was charged twice", client_id=uuid4(), now=LATER
    )
    assert said.event.internal
    assert "4111" not in said.event.text
    assert not waiting.events.for_customer().filter(pk=said.event.pk).exists()


def test_assigning_tells_the_person(waiting: Conversation, ada: User, ben: User) -> None:
    conversations.assign(waiting.pk, ada, to=ben, seen_version=waiting.version, now=LATER)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.assignee) == (State.PERSON, ben)
    assert Notification.objects.get(recipient=ben).kind == "chat"


def test_nobody_gets_what_they_may_not_see(waiting: Conversation, ada: User) -> None:
    for other in (
        person(Role.SUPPORT_AGENT, ScopeFactory()),
        person(Role.AUDITOR),
        person(Role.OPERATOR, waiting.scope),
    ):
        with pytest.raises(CannotGive):
            conversations.assign(waiting.pk, ada, to=other, seen_version=None, now=LATER)


def test_a_transfer_to_a_team_waits_there_with_its_note(waiting: Conversation, ada: User) -> None:
    conversations.take(waiting.pk, ada, None, NOON)
    billing = team()
    elsewhere = person(Role.SUPPORT_AGENT, billing.scope)
    assert not Conversation.objects.visible_to(elsewhere).exists()
    conversations.transfer(waiting.pk, ada, to=billing, why="Refund of two orders", seen_version=None, now=LATER)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.team, waiting.assignee, waiting.waiting_since) == (
        State.WAITING,
        billing,
        None,
        LATER,
    )
    assert Conversation.objects.visible_to(elsewhere).get() == waiting
    given = waiting.handoffs.get()
    assert (given.reason, given.summary, given.accepted_at) == ("transfer", "Refund of two orders", None)
    notes = waiting.events.filter(internal=True)
    assert [note.text for note in notes] == ["Refund of two orders"]
    conversations.take(waiting.pk, elsewhere, None, LATER)
    given.refresh_from_db()
    assert given.accepted_by == elsewhere


def test_a_transfer_says_why(waiting: Conversation, ada: User, ben: User) -> None:
    with pytest.raises(EmptyMessage):
        conversations.transfer(waiting.pk, ada, to=ben, why="  ", seen_version=None, now=LATER)


def test_a_transfer_to_a_team_out_of_use_is_refused(waiting: Conversation, ada: User) -> None:
    gone = team()
    gone.active = False
    gone.save()
    with pytest.raises(CannotGive):
        conversations.transfer(waiting.pk, ada, to=gone, why="x", seen_version=None, now=LATER)


def test_resolving_ends_hand_offs_and_the_bots_turn(waiting: Conversation, ada: User) -> None:
    asked, turn = handoff(waiting), due(waiting)
    conversations.resolve(waiting.pk, ada, seen_version=waiting.version, now=LATER)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.resolution, waiting.resolved_at) == (State.RESOLVED, "person", LATER)
    asked.refresh_from_db()
    turn.refresh_from_db()
    assert asked.closed_at == LATER
    assert turn.state == BotTurn.State.CANCELLED
    with pytest.raises(WrongState):
        conversations.take(waiting.pk, ada, None, LATER)


def test_reopening_begins_a_new_context(waiting: Conversation, ada: User) -> None:
    conversations.take(waiting.pk, ada, None, NOON)
    conversations.reply(waiting.pk, ada, text="Done", client_id=uuid4(), now=NOON)
    resolved = conversations.resolve(waiting.pk, ada, seen_version=None, now=LATER)
    again = conversations.reopen(waiting.pk, ada, resolved.version, LATER)
    assert (again.state, again.context, again.first_response_at, again.resolved_at) == (State.PERSON, 2, None, None)
    with pytest.raises(WrongState):
        conversations.reopen(waiting.pk, ada, None, LATER)


def test_the_system_resolves_too(waiting: Conversation) -> None:
    conversations.resolve(waiting.pk, None, seen_version=None, now=LATER, resolution="assumed")
    assert Decision.objects.get(action="conversation_resolved").actor_label == "system:chat"


def test_what_another_than_its_person_reads_is_not_read(waiting: Conversation, ada: User, ben: User) -> None:
    conversations.take(waiting.pk, ada, None, NOON)
    conversations.read(waiting.pk, ben, 1)
    waiting.refresh_from_db()
    assert waiting.staff_read_seq == 0
    conversations.read(waiting.pk, ada, 2)
    conversations.read(waiting.pk, ada, 1)
    conversations.read(waiting.pk, ada, 99)
    waiting.refresh_from_db()
    assert waiting.staff_read_seq == 2


def test_a_gap_is_drafted_from_what_people_said_and_from_no_private_note() -> None:
    one = conversation()
    agent = person(Role.SUPPORT_AGENT, one.scope)
    says(one, "Do you repair zips?")
    says(one, "Yes, for two years.", author="agent", user=agent)
    says(one, "Ask Lea about zips", author="agent", user=agent, internal=True)
    assert list(of_conversations(agent, [one.pk])) == ["Yes, for two years."]
    assert not list(of_conversations(person(Role.SUPPORT_AGENT, ScopeFactory()), [one.pk]))
