"""The desk of tickets: list, page, prepared answers, and each step as a page."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.core.models import Scope, User
from apps.core.roles import Role
from apps.escalation import calendars, tickets
from apps.escalation.models import CannedReply, Category, Member, Team, Ticket, TicketMessage
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db

LIST = "/admin/escalation/ticket/"


@pytest.fixture
def store() -> Scope:
    return ScopeFactory()


@pytest.fixture
def agent(store: Scope) -> User:
    user = person(Role.SUPPORT_AGENT, store)
    team = Team.objects.create(scope=store, name="Front desk", calendar=calendars.always())
    Member.objects.create(team=team, user=user)
    return user


@pytest.fixture
def desk(client: Client, agent: User) -> Client:
    client.force_login(agent)
    return client


def made(store: Scope, **fields: Any) -> Ticket:
    facts = {"subject": "Where is my lamp?", "channel": "email", "requester_name": "Ada", "message": "It is late."}
    return tickets.create(**{**facts, "scope": store, "now": timezone.now(), **fields})


def step(ticket: Ticket, name: str) -> str:
    return f"{LIST}{ticket.pk}/{name}/"


def test_the_list_shows_what_is_not_done_in_ones_scope(desk: Client, store: Scope) -> None:
    mine, done = made(store), made(store, subject="done")
    made(ScopeFactory(), subject="foreign")
    Ticket.objects.filter(pk=done.pk).update(status="resolved")
    assert list(desk.get(LIST).context["cl"].result_list) == [mine]
    assert len(desk.get(f"{LIST}?state=all").context["cl"].result_list) == 2
    assert list(desk.get(f"{LIST}?whose=nobody").context["cl"].result_list) == []


def test_the_page_shows_what_was_said_and_why_it_was_routed(desk: Client, store: Scope, agent: User) -> None:
    page = desk.get(step(made(store), "change")).content.decode()
    for words in ("It is late.", "Front desk answers for", "From the customer", "Raise a risk flag"):
        assert words in page


def test_a_prepared_answer_fills_the_form_and_is_sent_once(desk: Client, store: Scope, agent: User) -> None:
    ticket = made(store)
    canned = CannedReply.objects.create(title="Late", body="Dear {requester}, {ticket} is on its way.")
    form = desk.get(f"{step(ticket, 'change')}?canned={canned.pk}").context["reply"]
    assert form.initial["text"] == f"Dear Ada, {ticket.number} is on its way."
    given = {"seen": form.initial["seen"], "key": form.initial["key"], "text": form.initial["text"]}
    assert [desk.post(step(ticket, "reply"), given).status_code for _ in range(2)] == [302, 302]
    assert TicketMessage.objects.filter(kind="agent").count() == 1


def test_an_answer_to_an_older_version_is_asked_again(desk: Client, store: Scope) -> None:
    ticket = made(store)
    answer = desk.post(step(ticket, "reply"), {"seen": 99, "key": "0" * 32, "text": "Kept words"})
    assert answer.status_code == 409
    assert "Kept words" in answer.content.decode()
    assert f'name="seen" value="{ticket.version}"' in answer.content.decode()


def test_waiting_resolving_and_reopening(desk: Client, store: Scope) -> None:
    ticket = made(store)
    for name, status in (("wait", "waiting"), ("resume", "open"), ("resolve", "resolved"), ("reopen", "open")):
        ticket.refresh_from_db()
        assert desk.post(step(ticket, name), {"seen": ticket.version, "reason": "Because"}).status_code == 302
        ticket.refresh_from_db()
        assert ticket.status == status


def test_resolving_says_how(desk: Client, store: Scope) -> None:
    ticket = made(store)
    assert desk.post(step(ticket, "resolve"), {"seen": ticket.version, "reason": ""}).status_code == 400


def test_assigning_to_a_colleague_and_back_to_the_queue(desk: Client, store: Scope, agent: User) -> None:
    ticket = made(store)
    colleague = person(Role.SUPPORT_AGENT, store)
    Member.objects.create(team=ticket.team, user=colleague, available=False)
    desk.post(step(ticket, "assign"), {"seen": ticket.version, "assignee": colleague.pk})
    ticket.refresh_from_db()
    assert ticket.assignee == colleague
    stranger = person(Role.SUPPORT_AGENT)
    assert desk.post(step(ticket, "assign"), {"seen": ticket.version, "assignee": stranger.pk}).status_code == 400


def test_merging_by_number(desk: Client, store: Scope) -> None:
    first, second, foreign = made(store), made(store, subject="again"), made(ScopeFactory())
    refused = desk.post(step(second, "merge"), {"seen": second.version, "into": foreign.number})
    assert (refused.status_code, "no such ticket" in refused.content.decode()) == (422, True)
    assert desk.post(step(second, "merge"), {"seen": second.version, "into": first.number.lower()}).status_code == 302
    second.refresh_from_db()
    assert second.merged_into == first
    assert first.number in desk.get(step(second, "change")).content.decode()


def test_a_new_ticket_asks_for_what_its_category_needs(desk: Client, store: Scope) -> None:
    category = Category.objects.create(slug="late", name="Late", required_fields=["order_reference"])
    key = desk.get(f"{LIST}new/").context["form"].initial["key"]
    given = {"key": key, "subject": "s", "channel": "phone", "priority": 2, "category": category.pk, "scope": store.pk}
    refused = desk.post(f"{LIST}new/", given)
    assert (refused.status_code, "Late needs it." in refused.content.decode()) == (422, True)
    given["order_reference"] = "#1001"
    assert [desk.post(f"{LIST}new/", given).status_code for _ in range(2)] == [302, 302]
    assert Ticket.objects.count() == 1


def test_notes_and_corrections(desk: Client, store: Scope) -> None:
    ticket = made(store)
    desk.post(step(ticket, "note"), {"key": "1" * 32, "text": "Called the carrier"})
    kept = {"seen": ticket.version, "subject": "Lamp", "priority": 4, "tags": "Late, lamp, late"}
    assert desk.post(step(ticket, "edit"), kept).status_code == 302
    ticket.refresh_from_db()
    assert (ticket.subject, ticket.priority, ticket.tags) == ("Lamp", 4, ["late", "lamp"])
    assert "Called the carrier" in desk.get(step(ticket, "change")).content.decode()


def test_text_from_outside_is_never_markup(desk: Client, store: Scope) -> None:
    ticket = made(store, subject="<script>x", message="<b>y")
    page = desk.get(step(ticket, "change")).content.decode()
    assert "<script>x" not in page
    assert "<b>y" not in page


def test_an_auditor_looks_and_does_nothing(client: Client, store: Scope) -> None:
    ticket = made(store)
    client.force_login(person(Role.AUDITOR))
    page = client.get(step(ticket, "change")).content.decode()
    assert "not work on it" in page
    assert client.post(step(ticket, "resolve"), {"seen": ticket.version, "reason": "r"}).status_code == 403
