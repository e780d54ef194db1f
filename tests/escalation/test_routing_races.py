"""Several routers at once: nobody gets more than there is room for, in one team or in two, and none waits for ever."""

from __future__ import annotations

from functools import partial

import pytest
from django.db.models import Count
from guardian.shortcuts import assign_perm

from apps.core.models import User
from apps.escalation import routing, tickets
from apps.escalation.models import Category, Member, Team, Ticket
from tests.escalation.desk import category, made, member
from tests.escalation.factories import NOON, team
from tests.support.races import RUNS, at_once

pytestmark = pytest.mark.django_db(transaction=True)


def two_teams(capacity: int) -> tuple[tuple[Team, Category], tuple[Team, Category], User]:
    """Two teams with a category each, and a person who works in both."""
    first, second = team(), team()
    both = member(first, capacity)
    assign_perm("core.work_in_scope", both, second.scope)
    Member.objects.create(team=second, user=both, capacity=capacity)
    return (first, category(first)), (second, category(second)), both


def test_two_teams_at_once_do_not_both_take_a_persons_last_room() -> None:
    (_, one), (_, other), both = two_teams(capacity=1)
    for _ in range(RUNS):
        results = at_once(partial(made, category=one), partial(made, category=other))
        assert all(isinstance(each, Ticket) for each in results), results
        assert Ticket.objects.filter(assignee=both, status="open").count() == 1
        Ticket.objects.update(status="resolved")


def test_two_teams_that_fill_at_once_keep_to_the_room() -> None:
    (first, one), (second, other), both = two_teams(capacity=3)
    for run in range(RUNS):
        Member.objects.update(available=False)
        for about in (one, one, one, other, other, other):
            made(category=about)
        Member.objects.update(available=True)
        results = at_once(
            partial(routing.fill, first, NOON), partial(routing.fill, second, NOON), partial(routing.fill_all, NOON)
        )
        assert not [each for each in results if isinstance(each, Exception)], (run, results)
        assert Ticket.objects.filter(assignee=both, status="open").count() == 3
        Ticket.objects.update(status="resolved")


def test_tickets_that_change_teams_both_ways_at_once_wait_for_each_other_and_not_for_ever() -> None:
    (first, one), (second, other), _ = two_teams(capacity=50)
    agents = [member(each, 50) for each in (first, second)]
    for agent, scope in zip(agents, (second.scope, first.scope), strict=True):
        assign_perm("core.work_in_scope", agent, scope)
    for _ in range(RUNS):
        here, there = made(category=one, scope=first.scope), made(category=other, scope=second.scope)
        results = at_once(
            partial(move, here, other, agents[0]), partial(move, there, one, agents[1]),
            partial(routing.fill_all, NOON),
        )  # fmt: skip
        assert not [each for each in results if isinstance(each, Exception)], results
        assert {Ticket.objects.get(pk=here.pk).team, Ticket.objects.get(pk=there.pk).team} == {first, second}
        Ticket.objects.update(status="resolved")


def move(ticket: Ticket, about: Category, actor: User) -> Ticket:
    return tickets.edit(
        ticket_id=ticket.pk, seen_version=ticket.version, actor=actor, now=NOON, fields={"category": about}
    )


def test_many_arrivals_over_a_net_of_teams_fill_each_person_exactly() -> None:
    teams = [team() for _ in range(3)]
    people = [member(each, 2) for each in teams]
    for number, person in enumerate(people):  # each works in the next team, too
        assign_perm("core.work_in_scope", person, teams[(number + 1) % 3].scope)
        Member.objects.create(team=teams[(number + 1) % 3], user=person, capacity=2)
    abouts = [category(each) for each in teams]
    for _ in range(RUNS // 5):
        results = at_once(*(partial(made, category=abouts[number % 3]) for number in range(9)))
        assert all(isinstance(each, Ticket) for each in results), results
        loads = Ticket.objects.filter(status="open", assignee__isnull=False).values("assignee").annotate(n=Count("pk"))
        assert sorted(row["n"] for row in loads.order_by()) == [2, 2, 2]
        Ticket.objects.update(status="resolved")
