"""Handing a conversation over: at once, with what the team needs to know, and as a ticket where nobody is there."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache

from apps.chat import conversations
from apps.chat.bot import handing, intake, signals
from apps.chat.bot.handing import hand_off
from apps.chat.bot.summary import beside_fields
from apps.chat.models import BotTurn, Conversation, Dialogue, Event, Handoff, HandoffRating
from apps.core.models import Notification
from apps.core.roles import Role
from apps.escalation.models import Category, Member, Team, Ticket, TicketMessage
from apps.escalation.phrases import load
from tests.chat.bot import NIGHT, Talk, staffed
from tests.chat.factories import NOON, conversation, says, visitor
from tests.core.factories import person
from tests.escalation.factories import calendar, team

pytestmark = pytest.mark.django_db
PROBLEM = "My new lamp arrived broken and I want my money back, what can you do?"


@pytest.fixture(autouse=True)
def _empty_caches() -> None:
    cache.clear()
    signals.forget()


@pytest.fixture
def crew() -> Team:
    return staffed()[1]


@pytest.fixture
def refunds(crew: Team) -> Category:
    return Category.objects.create(
        slug="refund", name="Refund or return", team=crew, first_response=timedelta(hours=2),
        required_fields=["requester_contact", "order_reference", "summary"],
    )  # fmt: skip


def talk_with(crew: Team, **fields: object) -> Talk:
    return Talk(crew_site(crew), **fields)  # type: ignore[arg-type]


def crew_site(crew: Team):  # type: ignore[no-untyped-def]
    from apps.chat.models import ChatSite

    return ChatSite.objects.get(team=crew)


def test_it_is_in_the_queue_at_once_with_what_is_known(crew: Team, refunds: Category) -> None:
    talk = talk_with(crew)
    talk.write("I want a refund for order #4711, the lamp is broken.")
    words = talk.ask("Let me talk to a human")
    assert words == (
        "Of course, I am passing you on to a colleague. Somebody will be with you here shortly. "
        "How can we reach you? Please give an e-mail address or a phone number."
    )
    handoff = Handoff.objects.get()
    assert (talk.row.state, talk.row.team, talk.row.category) == ("waiting", crew, refunds)
    assert handoff.fields["order_reference"] == "4711"
    assert handoff.missing == ["requester_contact"]
    assert "Why: The customer asked for a person." in handoff.summary
    assert "Order: 4711" in handoff.summary
    beside = beside_fields(handoff.summary, handoff.reason, handoff.fields)
    assert beside == "Customer: Let me talk to a human", "what it is about stands among the fields"
    assert talk.row.events.filter(kind="handoff").count() == 1
    assert talk.row.subject == "I want a refund for order #4711, the lamp is broken."


def test_fields_are_asked_one_by_one_while_the_customer_waits(crew: Team, refunds: Category) -> None:
    talk = talk_with(crew)
    assert "What is it about?" in talk.ask("I want a refund, agent please")
    assert talk.last.data["form"]["field"] == "summary"
    assert "number of your order" in talk.ask("The lamp is broken and the box was open")
    assert "How can we reach you?" in talk.ask("4711")
    assert "passed this on" in talk.ask("ada@example.com")
    handoff = Handoff.objects.get()
    assert handoff.missing == []
    assert handoff.fields["requester_contact"] == "ada@example.com"
    assert handoff.fields["summary"] == "The lamp is broken and the box was open"
    assert "ada@example.com" not in " ".join(talk.row.events.values_list("text", flat=True))
    assert not Dialogue.objects.exists()
    assert talk.row.state == "waiting"


def test_what_a_customer_will_not_say_stays_open(crew: Team, refunds: Category) -> None:
    talk = talk_with(crew)
    talk.ask("I want a refund for my broken lamp. Let me talk to a human")
    assert "How can we reach you?" in talk.ask("skip")
    assert "did not recognise" in talk.ask("by pigeon")
    assert "passed this on" in talk.ask("by owl")
    assert Handoff.objects.get().missing == ["order_reference", "requester_contact"]


def test_what_the_page_says_of_its_visitor_is_not_asked(crew: Team, refunds: Category) -> None:
    site = crew_site(crew)
    who = visitor(site, external_id="7", name="Ada Example", email="ada@example.com")
    talk = Talk(site, visitor=who)
    talk.ask("Refund for order 4711: the lamp arrived broken. I want to talk to a human")
    handoff = Handoff.objects.get()
    assert handoff.missing == []
    assert (handoff.fields["requester_name"], handoff.fields["requester_contact"]) == ("Ada Example", "ada@example.com")


def test_whoever_takes_it_stops_the_questions(crew: Team, refunds: Category) -> None:
    talk = talk_with(crew)
    talk.ask("I want a refund, agent please")
    agent = Member.objects.get(team=crew).user
    conversations.take(talk.row.pk, agent, None, talk.now)
    assert talk.ask("The lamp is broken and the box was open") == ""
    assert Handoff.objects.get().accepted_by == agent


def test_in_the_queue_an_answer_at_the_same_time_as_somebody_takes_it_is_not_said(
    crew: Team, refunds: Category
) -> None:
    talk = talk_with(crew)
    talk.ask("I want a refund, agent please")
    talk.write("The lamp is broken and the box was open")
    conversations.take(talk.row.pk, Member.objects.get(team=crew).user, None, talk.now)
    assert talk.answer() == 0
    assert BotTurn.objects.order_by("-id")[0].state == "cancelled"


def test_what_agents_miss_again_and_again_is_asked(crew: Team) -> None:
    agent = Member.objects.get(team=crew).user
    category = Category.objects.create(slug="billing", name="Billing", team=crew)
    assert intake.needed(category, contact=False) == ["summary"]
    for number in range(intake.OFTEN):
        row = conversation(crew_site(crew))
        handoff = Handoff.objects.create(
            conversation=row, context=1, reason="wish", category=category, transcript_to_seq=0, requested_at=NOON
        )
        missing = ["order_reference", "order_reference"] if number else ["order_reference", "shoe size"]
        HandoffRating.objects.create(handoff=handoff, useful=False, missing=missing, by=agent, at=NOON)
    assert intake.needed(category, contact=False) == ["summary", "order_reference"]
    assert intake.needed(None, contact=True) == ["summary", "requester_contact"]


def test_at_night_it_becomes_a_ticket_with_a_promised_time(crew: Team, refunds: Category) -> None:
    talk = talk_with(crew, now=NIGHT)
    words = talk.ask("I want a refund for order #4711, the lamp is broken. Let me talk to a human")
    assert "Nobody is there at the moment; we are back on Tuesday, 3 March 2026, 09:00 (Europe/Berlin)." in words
    assert "How can we reach you?" in words
    words = talk.ask("ada@example.com")
    ticket = Ticket.objects.get()
    assert (
        f"Your ticket is {ticket.number}. You get an answer by Tuesday, 3 March 2026, 11:00 (Europe/Berlin)." in words
    )
    assert (ticket.channel, ticket.category, ticket.team) == ("chat", refunds, crew)
    assert (ticket.order_reference, ticket.requester_contact) == ("4711", "ada@example.com")
    assert ticket.source == f"conversation:{talk.row.pk}"
    assert ticket.links.get().target == f"conversation:{talk.row.pk}"
    assert (talk.row.state, talk.row.resolution, talk.row.ticket) == ("resolved", "ticket", ticket)
    handoff = Handoff.objects.get()
    assert (handoff.ticket, handoff.closed_at is not None) == (ticket, True)
    assert "I want a refund" in TicketMessage.objects.get().body


def test_with_everything_known_the_ticket_is_made_at_once(crew: Team) -> None:
    site = crew_site(crew)
    who = visitor(site, external_id="7", name="Ada", email="ada@example.com")
    talk = Talk(site, now=NIGHT, visitor=who)
    words = talk.ask(f"{PROBLEM} I want to talk to a person")
    assert f"Your ticket is {Ticket.objects.get().number}." in words


def test_a_customer_who_goes_away_still_gets_a_ticket(crew: Team, refunds: Category) -> None:
    talk = talk_with(crew, now=NIGHT)
    talk.ask("I want a refund, agent please")
    assert handing.rescue(talk.now + timedelta(minutes=5)) == 0  # perhaps still typing the answer
    assert handing.rescue(talk.now + timedelta(minutes=11)) == 1
    ticket = Ticket.objects.get()
    assert (ticket.requester_contact, ticket.order_reference) == ("Not given", "Not given")
    assert ticket.category == refunds
    assert handing.rescue(talk.now + timedelta(minutes=12)) == 0


def test_who_waits_at_closing_time_gets_a_ticket(crew: Team) -> None:
    talk = talk_with(crew, now=NOON.replace(hour=16, minute=50))
    talk.ask(f"{PROBLEM} I want to talk to a person")
    assert handing.rescue(NOON.replace(hour=16, minute=55)) == 0
    assert handing.rescue(NOON.replace(hour=17, minute=1)) == 1
    talk.row.refresh_from_db()
    assert talk.row.resolution == "ticket"


def test_nobody_waits_for_ever_although_the_team_is_open(crew: Team) -> None:
    talk = talk_with(crew)
    talk.ask(f"{PROBLEM} I want to talk to a person")
    assert handing.rescue(talk.now + timedelta(minutes=59)) == 0
    assert handing.rescue(talk.now + timedelta(minutes=61)) == 1
    assert any("waited so long" in text for text in talk.after(0))


@pytest.mark.parametrize("case", ["away", "left", "no role", "no member", "no team"])
def test_a_team_without_anybody_counts_as_not_there(crew: Team, case: str) -> None:
    member = Member.objects.get(team=crew)
    if case == "away":
        Member.objects.update(available=False)
    elif case == "left":
        member.user.is_active = False
        member.user.save()
    elif case == "no role":
        member.user.groups.clear()
    elif case == "no member":
        member.delete()
    site = crew_site(crew)
    if case == "no team":
        site.team = None
        site.save()
        Team.objects.update(active=False)
    who = visitor(site, external_id="7", email="ada@example.com")
    talk = Talk(site, visitor=who)
    talk.ask(f"{PROBLEM} I want to talk to a person")
    assert Ticket.objects.get().requester_contact == "ada@example.com"
    assert talk.row.resolution == "ticket"


def test_what_comes_after_the_ticket_begins_anew_and_is_not_lost(crew: Team) -> None:
    who = visitor(crew_site(crew), external_id="7", email="ada@example.com")
    talk = Talk(crew_site(crew), now=NIGHT, visitor=who)
    talk.ask(f"{PROBLEM} I want to talk to a person")
    assert "Hello" in talk.ask("hello")
    assert (talk.row.state, talk.row.context) == ("bot", 2)
    talk.ask("And the bulb is missing too, let me talk to a real person")
    assert Ticket.objects.count() == 1
    assert "the bulb is missing" in TicketMessage.objects.order_by("-id")[0].body


def test_a_closed_ticket_takes_no_more_and_another_one_is_made(crew: Team) -> None:
    who = visitor(crew_site(crew), external_id="7", email="ada@example.com")
    talk = Talk(crew_site(crew), now=NIGHT, visitor=who)
    talk.ask(f"{PROBLEM} I want to talk to a person")
    Ticket.objects.update(status="closed")
    talk.ask("Another lamp arrived broken today, let me talk to a human")
    assert sorted(Ticket.objects.values_list("source", flat=True)) == [
        f"conversation:{talk.row.pk}",
        f"conversation:{talk.row.pk}:2",
    ]


@pytest.mark.parametrize(("reason", "priority"), [("anger", 3), ("risk", 3), ("wish", 2), ("misses", 2)])
def test_anger_and_risk_are_urgent(crew: Team, reason: str, priority: int) -> None:
    who = visitor(crew_site(crew), external_id="7", email="ada@example.com")
    row = conversation(crew_site(crew), visitor=who)
    says(row, PROBLEM)
    hand_off(row.pk, reason, now=NIGHT)
    assert Ticket.objects.get().priority == priority


def test_handing_over_twice_is_handing_over_once_and_a_risk_outweighs(crew: Team) -> None:
    row = conversation(crew_site(crew))
    says(row, PROBLEM)
    first = hand_off(row.pk, "wish", now=NOON)
    again = hand_off(row.pk, "risk", now=NOON + timedelta(minutes=1))
    assert first
    assert again
    assert (first.pk, Handoff.objects.get().reason) == (again.pk, "risk")
    assert Event.objects.filter(conversation=row, kind="handoff").count() == 1


@pytest.mark.parametrize("state", [Conversation.State.PERSON, Conversation.State.RESOLVED])
def test_what_a_person_has_or_is_over_is_not_handed_over(crew: Team, state: str) -> None:
    row = conversation(
        crew_site(crew), state=state, assignee=Member.objects.get(team=crew).user if state == "person" else None
    )
    assert hand_off(row.pk, "risk", now=NOON) is None
    assert not Handoff.objects.exists()


def test_what_the_bot_owes_is_void_once_it_is_handed_over(crew: Team) -> None:
    row = conversation(crew_site(crew))
    says(row, "Where is my parcel?")
    hand_off(row.pk, "risk", now=NOON)
    assert BotTurn.objects.get().state == "cancelled"


def test_a_category_that_routes_elsewhere_takes_it_along(crew: Team) -> None:
    other = team(calendar=calendar(hours=((540, 1080),)))
    Member.objects.create(team=other, user=person(Role.SUPPORT_AGENT, other.scope))
    category = Category.objects.create(slug="invoices", name="Invoices", team=other)
    talk = talk_with(crew)
    talk.ask("There is a mistake on my invoice, I want to talk to a human please")
    assert (talk.row.category, talk.row.team) == (category, other)


@pytest.mark.parametrize(
    "text",
    ["My account was hacked and somebody stole my money", "You leaked my personal data, I saw it on the internet"],
)
def test_a_sign_of_risk_brings_a_person_at_once(crew: Team, text: str) -> None:
    from apps.escalation.phrases import delivered

    load(delivered())
    talk = talk_with(crew)
    talk.ask(text)
    assert (talk.row.state, Handoff.objects.get().reason) == ("waiting", "risk")


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("requester_name", "My name is Ada Lovelace.", "Ada Lovelace"),
        ("requester_name", "Ada", "Ada"),
        ("requester_name", "Ich heiße Jürgen Groß", "Jürgen Groß"),
        ("requester_name", "what for?", ""),
        ("order_reference", "order number is A-4711", "A-4711"),
        ("order_reference", "4711", "4711"),
        ("order_reference", "I don't have it at hand", ""),
        ("summary", "ok", ""),
        ("summary", "lamp broken", "lamp broken"),
    ],
)
def test_answers_are_read_for_what_they_say(field: str, text: str, value: str) -> None:
    assert intake.answer(field, text, {}) == value


def test_answers_that_did_not_come_are_forgotten(crew: Team, refunds: Category) -> None:
    from apps.chat.bot import hearing

    talk = talk_with(crew)
    talk.ask("Where is my order?")
    assert hearing.forget(talk.now + timedelta(minutes=29)) == 0
    assert hearing.forget(talk.now + timedelta(minutes=31)) == 1


def test_those_who_are_there_are_told_once_that_a_customer_waits(crew: Team, refunds: Category) -> None:
    away = Member.objects.create(team=crew, user=person(Role.SUPPORT_AGENT, crew.scope), available=False).user
    reader = Member.objects.create(team=crew, user=person(Role.AUDITOR, crew.scope)).user
    talk = talk_with(crew, visitor=visitor(crew_site(crew), name="Ada Lovelace"))
    talk.write("I want a refund for order #4711, the lamp is broken.")
    talk.ask("Let me talk to a human")
    hand_off(talk.row.pk, "anger", now=talk.now)
    there = crew.members.exclude(user__in=[away, reader]).get().user
    told = Notification.objects.get(kind="chat")
    assert (told.recipient, told.url) == (there, f"/admin/chat/desk/{talk.row.public_id}/")
    assert told.body == "The customer asked for a person. About: Refund or return."
    assert "Ada" not in f"{told.title} {told.body}", "the inbox is kept longer than the conversation"
    assert set(told.deliveries.values_list("channel", "status")) == {("in_app", "sent"), ("email", "skipped")}


def test_at_night_nobody_is_told(crew: Team) -> None:
    talk = talk_with(crew, now=NIGHT)
    talk.ask("Let me talk to a human")
    assert not Notification.objects.filter(kind="chat").exists()


def test_a_team_is_told_of_what_is_given_to_it(crew: Team) -> None:
    row = conversation(crew_site(crew))
    by = crew.members.get().user
    other = Member.objects.create(team=crew, user=person(Role.SUPPORT_AGENT, crew.scope)).user
    conversations.transfer(row.pk, by, to=crew, why="Knows lamps", seen_version=None, now=NOON)
    assert Notification.objects.get(kind="chat").recipient == other
