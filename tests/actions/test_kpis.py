"""The five figures of the queue, each checked against cards whose figures are known."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.actions import kpis
from apps.core.models import User
from apps.core.roles import Role
from tests.actions.factories import CardFactory
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 2, tzinfo=UTC)
END = START + timedelta(days=5)


@pytest.fixture
def auditor() -> User:
    return person(Role.AUDITOR)


def card(day: float, *, hours: float | None = None, **fields: Any) -> None:
    """A card opened so many days after the start, and closed so many hours later."""
    opened = START + timedelta(days=day)
    closed = None if hours is None else opened + timedelta(hours=hours)
    CardFactory(opened_at=opened, changed_at=closed or opened, closed_at=closed, **fields)


@pytest.fixture
def week() -> None:
    """Ten cards of which nine were opened in the range; six of them were decided by people."""
    card(-1, hours=12, status="executed")  # opened and closed before
    card(0, hours=1, status="dismissed", outcome="false")
    card(0, hours=2, status="dismissed", outcome="benign")
    card(0.5, hours=3, status="dismissed", outcome="true", expected_impact=Decimal(70))
    card(1, hours=4, status="executed", expected_impact=Decimal(500))
    card(1, hours=10, status="executed", expected_impact=Decimal(30), currency="EUR")
    card(2, hours=20, status="escalated", expected_impact=Decimal(900))
    card(2, hours=1, status="resolved", expected_impact=Decimal(9_999))
    card(3, status="open")
    card(4.9, status="open")


def test_the_five_figures(week: None, auditor: User) -> None:
    found = kpis.for_user(user=auditor, start=START, end=END)
    assert (found.alerts, found.per_day) == (9, 9 / 5)
    assert (found.decided, found.resolved, found.false, found.escalated) == (6, 1, 1, 1)
    assert (found.false_positive_rate, found.escalation_rate) == (1 / 6, 1 / 6)
    assert found.median_time == timedelta(hours=3.5)
    assert found.p90_time == timedelta(hours=15)
    assert found.revenue_protected == {"USD": Decimal(570), "EUR": Decimal(30)}


def test_a_range_without_cards_has_no_rates(auditor: User) -> None:
    found = kpis.for_user(user=auditor, start=START, end=END)
    assert (found.alerts, found.decided, found.revenue_protected) == (0, 0, {})
    assert (found.false_positive_rate, found.escalation_rate, found.median_time) == (None, None, None)


def test_what_was_rolled_back_protected_nothing(auditor: User) -> None:
    card(1, hours=1, status="rolled_back", expected_impact=Decimal(500))
    found = kpis.for_user(user=auditor, start=START, end=END)
    assert (found.decided, found.revenue_protected) == (1, {})


def test_the_end_of_the_range_is_not_part_of_it(auditor: User) -> None:
    card(5, hours=0, status="escalated")
    assert kpis.for_user(user=auditor, start=START, end=END).alerts == 0
    card(4, hours=24, status="escalated")
    assert kpis.for_user(user=auditor, start=START, end=END).decided == 0


def test_people_see_the_figures_of_their_scopes() -> None:
    ours, theirs = ScopeFactory(), ScopeFactory()
    card(1, scope=ours)
    card(1, scope=theirs)
    card(1)
    assert kpis.for_user(user=person(Role.OPERATOR, ours), start=START, end=END).alerts == 2
    assert kpis.for_user(user=person(Role.AUDITOR), start=START, end=END).alerts == 3


def test_each_day_has_a_row(week: None, auditor: User) -> None:
    days = kpis.by_day(user=auditor, start=START, end=END)
    assert [day.day for day in days] == [date(2026, 3, 2 + n) for n in range(5)]
    assert [day.opened for day in days] == [3, 2, 2, 1, 1]
    assert [day.decided for day in days] == [3, 2, 1, 0, 0]
    assert (days[0].false, days[2].escalated) == (1, 1)


def test_few_queries(week: None, auditor: User, django_assert_max_num_queries: Any) -> None:
    auditor.get_all_permissions()
    with django_assert_max_num_queries(4):
        kpis.for_user(user=auditor, start=START, end=END)
    with django_assert_max_num_queries(2):
        kpis.by_day(user=auditor, start=START, end=END)
