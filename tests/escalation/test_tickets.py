"""Tickets: what they need, what is said, their clocks, and what moves them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from apps.core.models import Decision, Notification
from apps.core.roles import Role
from apps.escalation import canned, tickets
from apps.escalation.binding import MissingInformation, NotAllowed
from apps.escalation.models import CannedReply, Clock, Report, Ticket, TicketLink, TicketMessage
from apps.escalation.ticket_binding import CannotAssign, CannotMerge, TicketChanged, TicketNotFound, WrongState
from tests.core.factories import ScopeFactory, person
from tests.escalation.desk import HOUR, category, desk, made, member
from tests.escalation.factories import NOON, team

pytestmark = pytest.mark.django_db


def clock(ticket: Ticket, target: str) -> Clock:
    return Clock.objects.filter(ticket=ticket, target=target).order_by("-pk")[0]


def events(ticket: Ticket) -> list[str]:
    return list(ticket.events.values_list("kind", flat=True))


def fresh(ticket: Ticket) -> Ticket:
    return Ticket.objects.get(pk=ticket.pk)


def test_a_ticket_gets_a_number_a_team_an_agent_and_its_clocks() -> None:
    own, about, (agent,) = desk()
    ticket = made(category=about, message="Please help. My password is hunter2.")
    assert (ticket.number[:2], ticket.team, ticket.assignee, ticket.scope) == ("T-", own, agent, own.scope)
    assert ticket.status == "open"
    assert ticket.messages.get().body == "Please help. My password is [password]."
    assert ticket.messages.get().masked == [{"kind": "password", "count": 1}]
    assert clock(ticket, "first_response").due_at == NOON + HOUR
    assert clock(ticket, "resolution").due_at == NOON + timedelta(hours=24)  # five today, three tomorrow
    assert events(ticket) == ["created", "routed"]
    assert Notification.objects.get(recipient=agent).title == f"{ticket.number} is yours: Where is my order?"


def test_numbers_rise() -> None:
    first, second = made(), made()
    assert int(second.number[2:]) > int(first.number[2:])


def test_the_same_source_makes_one_ticket() -> None:
    assert made(source="conversation:17") == made(source="conversation:17", subject="Again")
    assert Ticket.objects.count() == 1
    assert Decision.objects.filter(action="ticket_created").count() == 1


@pytest.mark.parametrize("field", ["requester_name", "requester_contact", "summary", "order_reference"])
def test_a_category_says_what_it_needs(field: str) -> None:
    about = category(required_fields=["requester_name", "requester_contact", "summary", "order_reference"])
    full = {
        "requester_name": "Joe", "requester_contact": "joe@example.com", "summary": "Late", "order_reference": "#1001",
    }  # fmt: skip
    with pytest.raises(MissingInformation) as refused:
        made(category=about, **{**full, field: "  "})
    assert list(refused.value.fields) == [field]
    assert not Ticket.objects.exists()
    assert made(category=about, **full).pk


def test_secrets_are_masked_everywhere_and_contacts_stay() -> None:
    ticket = made(subject="card 4111 1111 1111 1111", summary="password: hunter2", order_reference="#1001",
                  requester_contact="+49 151 23456789")  # fmt: skip
    assert (ticket.subject, ticket.summary) == ("card [card number]", "password: [password]")
    assert (ticket.order_reference, ticket.requester_contact) == ("#1001", "+49 151 23456789")


@pytest.mark.parametrize("fields", [{"subject": ""}, {"subject": "x" * 201}, {"channel": "pigeon"}, {"priority": 9}])
def test_what_cannot_be_stored_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(MissingInformation):
        made(**fields)


def test_only_some_roles_make_tickets() -> None:
    with pytest.raises(NotAllowed):
        made(actor=person(Role.CONTENT_OWNER))
    assert made(actor=person(Role.SUPPORT_AGENT)).pk


def test_an_answer_meets_its_clock_and_the_next_question_starts_another() -> None:
    _, about, (agent,) = desk()
    ticket = made(category=about)
    tickets.reply(ticket_id=ticket.pk, text="We look.", actor=agent, now=NOON + HOUR / 2)
    assert clock(ticket, "first_response").status == "met"
    assert fresh(ticket).first_responded_at == NOON + HOUR / 2
    tickets.receive(ticket_id=ticket.pk, text="And?", now=NOON + HOUR)
    assert clock(ticket, "next_response").due_at == NOON + 3 * HOUR
    tickets.receive(ticket_id=ticket.pk, text="Hello?", now=NOON + 2 * HOUR)
    assert clock(ticket, "next_response").due_at == NOON + 3 * HOUR  # the first question counts
    tickets.reply(ticket_id=ticket.pk, text="Here.", actor=agent, now=NOON + 4 * HOUR)
    assert clock(ticket, "next_response").status == "missed"


def test_the_same_click_says_it_once() -> None:
    _, about, (agent,) = desk()
    ticket, key = made(category=about), uuid4()
    first = tickets.reply(ticket_id=ticket.pk, text="Hi", actor=agent, now=NOON, key=key)
    assert tickets.reply(ticket_id=ticket.pk, text="Hi", actor=agent, now=NOON, key=key) == first
    assert TicketMessage.objects.filter(kind="agent").count() == 1
    with pytest.raises(WrongState):
        tickets.note(ticket_id=ticket.pk, text="Hi", actor=agent, now=NOON, key=key)


def test_while_the_customer_has_to_answer_the_clocks_are_held() -> None:
    _, about, (agent,) = desk()
    ticket = made(category=about)
    tickets.reply(ticket_id=ticket.pk, text="Which one?", actor=agent, now=NOON + HOUR, then_wait=True)
    assert (fresh(ticket).status, clock(ticket, "resolution").status) == ("waiting", "paused")
    tickets.receive(ticket_id=ticket.pk, text="The red one.", now=NOON + 3 * HOUR)
    assert fresh(ticket).status == "open"
    # One hour was used before the hold; two are left today, five are for tomorrow.
    assert clock(ticket, "resolution").due_at == NOON + timedelta(hours=26)


def test_resolved_by_a_person_and_opened_again_by_the_customer() -> None:
    _, about, (agent,) = desk()
    ticket = made(category=about)
    done = tickets.resolve(ticket_id=ticket.pk, seen_version=ticket.version, actor=agent, reason="Sent", now=NOON)
    assert (done.status, clock(ticket, "resolution").status) == ("resolved", "met")
    tickets.receive(ticket_id=ticket.pk, text="It broke.", now=NOON + HOUR)
    ticket = fresh(ticket)
    assert (ticket.status, ticket.resolved_at) == ("open", None)
    assert clock(ticket, "resolution").status == "running"
    assert "reopened" in events(ticket)


def test_a_closed_ticket_takes_nothing_in() -> None:
    _, about, (agent,) = desk()
    ticket = made(category=about)
    ticket = tickets.resolve(ticket_id=ticket.pk, seen_version=ticket.version, actor=agent, reason="Sent", now=NOON)
    ticket = tickets.close(ticket_id=ticket.pk, seen_version=ticket.version, actor=agent, now=NOON)
    with pytest.raises(WrongState):
        tickets.receive(ticket_id=ticket.pk, text="Hello", now=NOON)
    with pytest.raises(WrongState):
        tickets.reply(ticket_id=ticket.pk, text="Hello", actor=agent, now=NOON)
    ticket = tickets.reopen(ticket_id=ticket.pk, seen_version=ticket.version, actor=agent, reason="Wrong", now=NOON)
    assert ticket.status == "open"


MOVES: dict[str, Callable[..., Any]] = {
    "wait": lambda **who: tickets.wait(reason="Photo", now=NOON, **who),
    "resolve": lambda **who: tickets.resolve(reason="Done", now=NOON, **who),
    "assign": lambda **who: tickets.assign(assignee=None, now=NOON, **who),
    "edit": lambda **who: tickets.edit(fields={"summary": "New"}, now=NOON, **who),
}


@pytest.mark.parametrize("name", MOVES)
def test_a_move_needs_the_version_that_was_seen(name: str) -> None:
    _, about, (agent,) = desk()
    ticket = made(category=about)
    with pytest.raises(TicketChanged) as refused:
        MOVES[name](ticket_id=ticket.pk, seen_version=ticket.version - 1, actor=agent)
    assert refused.value.version == ticket.version
    assert fresh(ticket).version == ticket.version


@pytest.mark.parametrize("name", MOVES)
def test_a_move_needs_the_role_and_the_scope(name: str) -> None:
    own, about, (agent,) = desk()
    ticket = made(category=about)
    seen = {"ticket_id": ticket.pk, "seen_version": ticket.version}
    for role in (Role.AUDITOR, Role.OPERATOR, Role.CONTENT_OWNER):
        with pytest.raises(NotAllowed):
            MOVES[name](actor=person(role, own.scope), **seen)
    with pytest.raises(TicketNotFound):
        MOVES[name](actor=person(Role.TEAM_LEAD, ScopeFactory()), **seen)
    MOVES[name](actor=agent, **seen)
    assert fresh(ticket).version > ticket.version


@pytest.mark.parametrize("name", ["wait", "resolve"])
def test_a_double_click_changes_nothing_more(name: str) -> None:
    _, about, (agent,) = desk()
    ticket = made(category=about)
    seen = {"ticket_id": ticket.pk, "seen_version": ticket.version, "actor": agent}
    first = MOVES[name](**seen)
    assert MOVES[name](**seen).version == first.version


def test_assigning_by_hand_says_who_and_tells_the_person() -> None:
    _, about, (agent, other) = desk(2)
    ticket = made(category=about)
    assert ticket.assignee == agent
    ticket = tickets.assign(
        ticket_id=ticket.pk, seen_version=ticket.version, assignee=other, actor=agent, now=NOON, reason="Knows them"
    )
    assert ticket.assignee == other
    assert ticket.events.last().reason == "Knows them"
    assert Notification.objects.filter(recipient=other).exists()
    stranger = person(Role.SUPPORT_AGENT, ScopeFactory())
    with pytest.raises(CannotAssign):
        tickets.assign(ticket_id=ticket.pk, seen_version=ticket.version, assignee=stranger, actor=agent, now=NOON)


def test_another_category_brings_its_times_and_its_team() -> None:
    own, about, (agent,) = desk()
    ticket = made(category=about, scope=own.scope)
    other_team = team()
    slow = category(other_team, first_response=4 * HOUR)
    ticket = tickets.edit(
        ticket_id=ticket.pk, seen_version=ticket.version, fields={"category": slow}, actor=agent, now=NOON
    )
    assert (ticket.team, ticket.assignee) == (other_team, None)
    assert clock(ticket, "first_response").due_at == NOON + 4 * HOUR


def test_a_merged_duplicate_gives_what_it_has() -> None:
    _, about, (agent,) = desk()
    first, second = made(category=about, order_reference="#1001"), made(category=about)
    earlier = made(category=about)
    tickets.merge(ticket_id=earlier.pk, seen_version=earlier.version, into_id=first.pk, actor=agent, now=NOON)
    first = fresh(first)
    tickets.add_link(ticket_id=first.pk, target="risk_flag:4", actor=agent, now=NOON)
    into = tickets.merge(ticket_id=first.pk, seen_version=first.version, into_id=second.pk, actor=agent, now=NOON)
    assert (into.order_reference, into.links.get().target) == ("#1001", "risk_flag:4")
    first = fresh(first)
    assert (first.status, first.merged_into) == ("merged", second)
    assert fresh(earlier).merged_into == second  # never a chain
    assert not Clock.objects.filter(ticket=first, status__in=["running", "paused"]).exists()
    said = tickets.receive(ticket_id=first.pk, text="Still there?", now=NOON)
    assert said.ticket == second
    with pytest.raises(WrongState):
        tickets.reply(ticket_id=first.pk, text="x", actor=agent, now=NOON)


def test_a_customer_who_waits_in_the_duplicate_is_answered_in_the_other() -> None:
    _, about, (agent,) = desk()
    first, second = made(category=about), made(category=about)
    tickets.reply(ticket_id=second.pk, text="Photo?", actor=agent, now=NOON, then_wait=True)
    into = tickets.merge(ticket_id=first.pk, seen_version=first.version, into_id=second.pk, actor=agent, now=NOON)
    assert into.status == "open"
    assert clock(into, "next_response").status == "running"
    assert clock(into, "resolution").status == "running"


def test_what_cannot_be_merged() -> None:
    own, about, (agent,) = desk()
    ticket, done = made(category=about), made(category=about)
    tickets.resolve(ticket_id=done.pk, seen_version=done.version, actor=agent, reason="Done", now=NOON)
    lead = person(Role.TEAM_LEAD, own.scope, other := ScopeFactory())
    foreign = made(scope=other)
    seen = {"ticket_id": ticket.pk, "seen_version": ticket.version, "actor": lead, "now": NOON}
    for into in (ticket, done, foreign):
        with pytest.raises(CannotMerge):
            tickets.merge(into_id=into.pk, **seen)
    with pytest.raises(TicketNotFound):
        tickets.merge(into_id=foreign.pk, **{**seen, "actor": agent})


def test_links_are_there_once_and_have_a_form() -> None:
    _, about, (agent,) = desk()
    ticket = made(category=about)
    for _ in range(2):
        tickets.add_link(ticket_id=ticket.pk, target="action_card:17", actor=agent, now=NOON)
    assert TicketLink.objects.count() == 1
    with pytest.raises(MissingInformation):
        tickets.add_link(ticket_id=ticket.pk, target="nonsense", actor=agent, now=NOON)


def test_prepared_answers_are_filled_in_once() -> None:
    _, about, (agent,) = desk()
    ticket = made(category=about, requester_name="{agent} Joe")
    reply = CannedReply.objects.create(title="Hello", body="Dear {requester}, about {ticket} {order} {other}: {agent}")
    other = CannedReply.objects.create(title="Other", body="x", category=category())
    text = canned.rendered(reply, ticket=ticket, agent=agent)
    assert text == f"Dear {{agent}} Joe, about {ticket.number} your order {{other}}: {agent.username}"
    assert list(canned.offered(ticket)) == [reply]
    assert other not in canned.offered(ticket)


def test_what_is_said_and_decided_is_recorded() -> None:
    own, about, (agent,) = desk()
    ticket = made(category=about)
    tickets.note(ticket_id=ticket.pk, text="VIP", actor=agent, now=NOON)
    assert fresh(ticket).version == ticket.version
    tickets.resolve(ticket_id=ticket.pk, seen_version=ticket.version, actor=agent, reason="Sent", now=NOON)
    assert list(Decision.objects.filter(subject=f"ticket:{ticket.pk}").order_by("seq").values_list("action", flat=True)) == [
        "ticket_created", "ticket_resolved",
    ]  # fmt: skip
    assert member(own)


def test_the_indicators_see_what_customers_say_and_nothing_else() -> None:
    _, about, (agent,) = desk()
    ticket = made(category=about, message="My data was leaked, card 4111111111111111")
    tickets.reply(ticket_id=ticket.pk, text="We look.", actor=agent, now=NOON)
    tickets.note(ticket_id=ticket.pk, text="VIP", actor=agent, now=NOON)
    report = Report.objects.get()
    assert (report.subject, report.category) == (f"ticket:{ticket.pk}", about.slug)
    assert report.text == "My data was leaked, card [card number]"
    silent = made(summary="It broke")
    assert Report.objects.get(source=f"ticket:{silent.pk}").text == "Where is my order?\nIt broke"
