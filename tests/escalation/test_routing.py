"""Who gets a ticket, and why."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection, connections

from apps.core.roles import Role
from apps.escalation import routing, tickets
from apps.escalation.models import Member, OpenHours, Ticket
from tests.core.factories import ScopeFactory, person
from tests.escalation.desk import category, desk, made, member
from tests.escalation.factories import NOON, calendar, team

pytestmark = pytest.mark.django_db
EVENING = NOON + timedelta(hours=8)


def reason(ticket: Ticket) -> str:
    return str(ticket.events.filter(kind__in=["routed", "queued"]).last().reason)


def test_the_one_with_the_fewest_gets_it_and_the_reason_says_so() -> None:
    own, about, (first, second) = desk(2)
    assert [made(category=about).assignee for _ in range(4)] == [first, second, first, second]
    ticket = made(category=about)
    assert ticket.assignee == first
    assert reason(ticket) == (
        f"{own} answers {about}. {first} has 2 of 8 tickets in hand, the fewest of 2 who could take it."
    )
    considered = ticket.events.get(kind="routed").data["considered"]
    assert considered[1] == {"user": second.pk, "open": 2, "capacity": 8}


def test_capacity_is_the_limit_and_the_oldest_waiter_is_first_when_it_frees() -> None:
    _, about, (agent,) = desk(1, capacity=1)
    held = made(category=about)
    waiting = [made(category=about, now=NOON + timedelta(minutes=number)) for number in (1, 2)]
    assert [ticket.assignee for ticket in waiting] == [None, None]
    assert "nobody has room" in reason(waiting[0])
    later = NOON + timedelta(minutes=9)
    tickets.resolve(ticket_id=held.pk, seen_version=held.version, actor=agent, reason="Done", now=later)
    assert [Ticket.objects.get(pk=ticket.pk).assignee for ticket in waiting] == [agent, None]
    assert reason(waiting[0]).startswith("Its turn after 8 min.")


def test_the_more_urgent_goes_before_the_older() -> None:
    _, about, (agent,) = desk(1, capacity=1)
    held = made(category=about)
    made(category=about)
    urgent = made(category=about, priority=4, now=NOON + timedelta(minutes=5))
    tickets.wait(ticket_id=held.pk, seen_version=held.version, actor=agent, reason="Photo", now=NOON)
    assert Ticket.objects.get(pk=urgent.pk).assignee == agent


def test_a_skill_is_asked_for_where_the_category_needs_it() -> None:
    own, about, _ = desk(1)
    about.needs_skill = True
    about.save()
    assert "lacks the skill" in reason(made(category=about))
    skilled = member(own)
    Member.objects.get(user=skilled).skills.add(about)
    assert made(category=about).assignee == skilled


@pytest.mark.parametrize("why", ["away", "inactive", "no role", "other scope"])
def test_who_cannot_work_it_does_not_get_it(why: str) -> None:
    own, about, (agent,) = desk(1)
    if why == "away":
        Member.objects.update(available=False)
    elif why == "inactive":
        agent.is_active = False
        agent.save()
    elif why == "no role":
        agent.groups.clear()
    scope = ScopeFactory() if why == "other scope" else own.scope
    ticket = made(category=about, scope=scope)
    assert (ticket.team, ticket.assignee) == (own, None)
    assert ticket.events.get(kind="queued").data["considered"][0]["why_not"]


def test_outside_the_hours_it_waits_until_the_team_opens() -> None:
    own = team(calendar=calendar("Europe/Berlin"))
    about, agent = category(own), member(own)
    ticket = made(category=about, now=EVENING)
    assert ticket.assignee is None
    assert f"{own} is closed until Tue 03 Mar 09:00 CET" in reason(ticket)
    assert routing.fill_all(EVENING) == 0
    assert ticket.events.filter(kind="queued").count() == 1  # waiting on is no news
    assert routing.fill_all(NOON + timedelta(hours=21)) == 1
    assert Ticket.objects.get(pk=ticket.pk).assignee == agent


def test_a_team_without_hours_keeps_its_tickets_and_says_why() -> None:
    _, about, _ = desk(1)
    OpenHours.objects.all().delete()
    ticket = made(category=about)
    assert ticket.assignee is None
    assert "cannot be read (never_open)" in reason(ticket)
    assert ticket.events.filter(kind="no_deadline").count() == 2


def test_without_a_category_the_team_of_the_scope_answers() -> None:
    own, _, (agent,) = desk()
    assert made(scope=own.scope).assignee == agent
    nobodys = made(scope=ScopeFactory())
    assert nobodys.team is None
    assert "somebody has to assign it" in reason(nobodys)


def test_nobody_in_the_team() -> None:
    assert "there is nobody" in reason(made(category=category(team())))


def test_a_lead_may_give_more_than_the_capacity() -> None:
    own, about, (agent,) = desk(1, capacity=1)
    made(category=about)
    ticket = made(category=about)
    lead = person(Role.TEAM_LEAD, own.scope)
    given = tickets.assign(ticket_id=ticket.pk, seen_version=ticket.version, assignee=agent, actor=lead, now=NOON)
    assert given.assignee == agent


def test_the_queries_do_not_grow_with_the_tickets_in_hand(django_assert_max_num_queries: object) -> None:
    _, about, _ = desk(2, capacity=100)
    for _ in range(20):
        made(category=about)
    with django_assert_max_num_queries(62):  # type: ignore[operator]
        made(category=about)


@pytest.mark.django_db(transaction=True)
def test_two_tickets_at_once_do_not_take_the_same_last_room() -> None:
    _, about, (agent,) = desk(1, capacity=1)
    start = Barrier(4)

    def arrive(number: int) -> None:
        try:
            start.wait()
            made(category=about, subject=f"Ticket {number}")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(arrive, range(4)))
    assert Ticket.objects.filter(assignee=agent).count() == 1
    assert Ticket.objects.filter(assignee=None, team__isnull=False).count() == 3
    assert connection.vendor == "postgresql"
