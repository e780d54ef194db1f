"""A ticket that a flag was raised from carries the protocol's risk tags, whichever way it was raised."""

from __future__ import annotations

import pytest

from apps.core.models import Scope
from apps.core.roles import Role
from apps.escalation import flags
from apps.escalation.models import Ticket
from tests.core.factories import ScopeFactory, person
from tests.escalation.factories import NOON, raised, ticket

pytestmark = pytest.mark.django_db


@pytest.fixture
def store() -> Scope:
    return ScopeFactory()


def now_of(row: Ticket) -> Ticket:
    row.refresh_from_db()
    return row


def test_the_ticket_gets_the_level_and_the_indicator_and_says_so(store: Scope) -> None:
    row = ticket(scope=store, tags=["vip"])
    flag = raised(source=f"ticket:{row.pk}", scope=store, level=4, indicator="severe_impact")
    assert now_of(row).tags == ["vip", "risk-level-4", "risk-severe-impact"]
    assert row.version == 2
    assert row.links.get().target == f"risk_flag:{flag.pk}"
    assert row.events.get(kind="flagged").reason == f"Risk flag {flag.pk}, level 4 High."


def test_raised_again_nothing_changes(store: Scope) -> None:
    row = ticket(scope=store)
    for _ in range(2):
        raised(source=f"ticket:{row.pk}", scope=store, references=[f"ticket:{row.pk}"])
    assert (now_of(row).version, row.tags) == (2, ["risk-level-3"])


def test_another_level_takes_the_place_of_the_first(store: Scope) -> None:
    row = ticket(scope=store)
    flag = raised(source="tests:tag", references=[f"ticket:{row.pk}"], scope=store, level=3)
    lead = person(Role.TEAM_LEAD, store)
    flags.change_level(flag_id=flag.pk, seen_version=1, level=5, reason="Worse.", actor=lead, now=NOON)
    assert now_of(row).tags == ["risk-level-5"]


def test_what_is_only_proposed_tags_once_it_is_confirmed(store: Scope) -> None:
    row = ticket(scope=store)
    flag = raised(source=f"ticket:{row.pk}", scope=store, proposed=True)
    assert now_of(row).tags == []
    lead = person(Role.TEAM_LEAD, store)
    flags.move(flag_id=flag.pk, seen_version=1, transition="confirm_proposal", actor=lead, now=NOON)
    assert now_of(row).tags == ["risk-level-3"]


def test_tickets_of_other_scopes_are_left_alone(store: Scope) -> None:
    foreign = ticket(scope=ScopeFactory())
    raised(scope=store, references=[f"ticket:{foreign.pk}", "ticket:x", "ticket:" + "9" * 40])
    assert (now_of(foreign).tags, foreign.version) == ([], 1)
