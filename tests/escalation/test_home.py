"""The home page tells each role what it has to do next, from its own scopes, in a bounded number of queries."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.core.home import Content, panels_for
from apps.core.models import Scope, User
from apps.core.roles import Role
from apps.escalation import reviews
from apps.escalation.models import Proposal, Review, ReviewItem, RiskFlag
from tests.core.factories import ScopeFactory, person
from tests.escalation.factories import move_to, raised, ticket

pytestmark = pytest.mark.django_db
PANELS = ("ladder", "flags", "tickets", "proposals", "reviews")
HOME = "/admin/"


@pytest.fixture
def store() -> Scope:
    return ScopeFactory()


def panels(user: User) -> dict[str, Content]:
    return {panel.slug: content for panel, content in panels_for(user, timezone.now()) if panel.slug in PANELS}


def stats(content: Content) -> dict[str, int | str]:
    return {stat.label: stat.value for stat in content.stats}


def titles(content: Content) -> list[str]:
    return [row.title for row in content.rows]


def test_a_team_lead_sees_what_is_late_and_soon_due(store: Scope) -> None:
    now = timezone.now()
    raised(title="fresh", level=5, scope=store, now=now)
    raised(title="late", level=3, scope=store, now=now - timedelta(days=40))
    raised(title="elsewhere", level=5, scope=ScopeFactory(), now=now)
    raised(title="with the manager", level=3, scope=store, now=now, raised_by=None)
    move_to(RiskFlag.objects.get(title="with the manager"), "manager_review", now)
    found = panels(person(Role.TEAM_LEAD, store))["ladder"]
    assert titles(found) == ["late", "fresh"]
    assert stats(found) == {"Overdue": 1, "Due in 4 h": 1, "Level 4 or 5": 1, "Not in hand": 2}
    assert [row.meta for row in found.rows] == ["To review", "To hand over"]
    assert "overdue by" in str(found.rows[0].side)
    assert "left" in str(found.rows[1].side)


def test_a_support_manager_sees_what_is_to_be_confirmed(store: Scope) -> None:
    now = timezone.now()
    raised(title="with the lead", scope=store, now=now)
    move_to(raised(title="confirm me", scope=store, now=now), "manager_review", now)
    for role in (Role.SUPPORT_MANAGER, Role.SUPPORT_DIRECTOR):
        found = panels(person(role, store))["ladder"]
        assert titles(found) == ["confirm me"]
        assert stats(found)["To confirm"] == 1
        assert found.rows[0].meta == "To confirm"


def test_a_risk_manager_sees_what_risk_management_has_and_what_is_proposed() -> None:
    now = timezone.now()
    raised(title="with the lead", level=3, now=now)
    move_to(raised(title="handed over", level=5, now=now), "risk_management", now)
    facts = {"indicator": "data", "score": 5, "created_at": now, "updated_at": now}
    Proposal.objects.create(subject="ticket:1", title="somebody else's invoice", level=4, **facts)
    Proposal.objects.create(subject="ticket:2", title="decided", level=4, status="rejected", **facts)
    found = panels(person(Role.RISK_MANAGER))
    assert titles(found["ladder"]) == ["handed over"]
    assert stats(found["ladder"])["Level 4 or 5"] == 1
    assert titles(found["proposals"]) == ["somebody else's invoice"]
    assert found["proposals"].rows[0].meta == "Data concerns"


def test_an_agent_sees_own_tickets_and_the_flags_that_they_raised(store: Scope) -> None:
    agent = person(Role.SUPPORT_AGENT, store)
    mine = ticket(subject="mine", scope=store, assignee=agent)
    ticket(subject="held", scope=store, assignee=agent, status="waiting")
    ticket(subject="done", scope=store, assignee=agent, status="resolved")
    ticket(subject="nobody's", scope=store)
    ticket(subject="another scope's", scope=ScopeFactory())
    raised(title="graver", level=5, scope=store)
    raised(title="own", level=1, scope=store, raised_by=agent)
    found = panels(agent)
    assert titles(found["tickets"])[0] == f"{mine.number} mine"
    assert len(found["tickets"].rows) == 2
    assert stats(found["tickets"]) == {"Your turn": 1, "Waiting": 1, "Nobody’s": 1}
    assert titles(found["flags"]) == ["own", "graver"]
    assert found["flags"].rows[0].meta == "Raised by you · Documented, in the weekly review"
    assert "ladder" not in found
    assert "proposals" not in found
    assert "reviews" not in found


def test_reviews_and_own_next_actions_are_shown_to_those_who_hold_them() -> None:
    now = timezone.now()
    reviews.plan(now=now - timedelta(days=3))
    lead = person(Role.RISK_MANAGER)
    ReviewItem.objects.create(
        review=Review.objects.get(kind="weekly"), reason="Trends", next_action="Ring the carrier", owner=lead,
        due_on=now.date() - timedelta(days=1),
    )  # fmt: skip
    found = panels(lead)["reviews"]
    assert titles(found) == ["Weekly risk review", "Monthly coordination", "Quarterly assessment", "Ring the carrier"]
    assert {row.badge for row in found.rows} == {"Overdue"}


def test_those_who_see_no_escalation_get_no_panel() -> None:
    assert not panels(User.objects.create_user("nobody", is_staff=True))


@pytest.mark.parametrize("role", [Role.SUPPORT_AGENT, Role.TEAM_LEAD, Role.SUPPORT_MANAGER, Role.RISK_MANAGER])
def test_empty_panels_say_what_will_stand_there(client: Client, store: Scope, role: Role) -> None:
    client.force_login(person(role, store))
    page = client.get(HOME).content.decode()
    assert ("No flag waits for you" if role != Role.SUPPORT_AGENT else "No open risk flag") in page
    assert "You have no ticket" in page


@pytest.mark.parametrize("role", Role)
def test_the_panels_take_few_queries_however_much_there_is(store: Scope, role: Role) -> None:
    user = person(role, store)
    panels(user)  # fills the caches that a process fills once

    def count() -> int:
        asked = User.objects.get(pk=user.pk)
        with CaptureQueriesContext(connection) as captured:
            panels_for(asked, timezone.now())
        return len(captured)

    empty, now = count(), timezone.now()
    reviews.plan(now=now)
    for number in range(4):
        flag = raised(level=number % 5 + 1, scope=store, raised_by=user, now=now)
        if number == 3:
            move_to(flag, "risk_management", now)
        ticket(scope=store, assignee=user)
        Proposal.objects.create(
            indicator="data", subject=f"ticket:{number}", title="x", score=1, level=3, created_at=now, updated_at=now
        )
    assert count() <= empty + 3, "a query for each row"


def test_the_board_shows_whose_turn_it_is(client: Client, store: Scope) -> None:
    now = timezone.now()
    with_lead, with_manager = raised(scope=store, now=now), raised(scope=store, now=now)
    move_to(with_manager, "manager_review", now)
    client.force_login(person(Role.TEAM_LEAD, store))
    url = reverse("admin:escalation_riskflag_board")

    def shown(query: str) -> set[RiskFlag]:
        groups = client.get(url + query).context["groups"]
        return {line.flag for group in groups for line in group["lines"]}

    assert shown("") == {with_lead, with_manager}
    assert shown("?only=turn") == {with_lead}
    assert shown("?only=mine") == set()
