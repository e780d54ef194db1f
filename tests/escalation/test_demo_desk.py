"""The ticket desk of the demonstration."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.core.roles import Role
from apps.escalation.demo.desk import STORIES, load_desk
from apps.escalation.models import CalendarDay, CannedReply, Clock, Team, Ticket
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("now", [datetime(2026, 3, 11, 14, tzinfo=UTC), datetime(2026, 3, 8, 3, tzinfo=UTC)])
def test_the_desk_has_tickets_in_every_state_however_it_is_loaded(now: datetime) -> None:
    north, south = ScopeFactory(slug="northlight"), ScopeFactory(slug="fjord")
    person(Role.SUPPORT_AGENT, north, username="agent")
    person(Role.TEAM_LEAD, north, username="lead")
    person(Role.SUPPORT_MANAGER, north, south, username="manager")
    assert load_desk(now=now)
    assert Team.objects.count() == 2
    assert Ticket.objects.count() == len(STORIES)
    states = set(Ticket.objects.values_list("status", flat=True))
    assert states >= {"open", "waiting", "resolved", "merged"}
    assert {"agent", "lead", "manager"} >= set(
        Ticket.objects.filter(assignee__isnull=False).values_list("assignee__username", flat=True)
    )
    assert Clock.objects.filter(status="running").exists()
    assert Clock.objects.filter(status="paused").exists()
    assert CalendarDay.objects.filter(active=False).exists()
    assert not CalendarDay.objects.filter(active=True).exists()
    assert CannedReply.objects.exists()
    assert not Ticket.objects.filter(messages__body__contains="4111").exists()
    assert not load_desk(now=now), "a second run changes nothing"


def test_without_stores_there_is_no_desk() -> None:
    assert not load_desk(now=datetime(2026, 3, 11, 14, tzinfo=UTC))
