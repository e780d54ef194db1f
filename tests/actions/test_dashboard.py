"""The dashboard: figures, plots and alerts of the days that are asked for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.actions.admin.dashboard import trailing
from apps.actions.kpis import Day
from apps.actions.models import ActionCard
from apps.core.models import User
from apps.core.periods import share, span
from apps.core.roles import Role
from tests.actions.desk import make_card
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db

PAGE = "/admin/actions/actioncard/dashboard/"
TODAY = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(TODAY, tick=False):
        yield


@pytest.fixture
def store():
    return ScopeFactory()


@pytest.fixture
def operator(store) -> User:
    return person(Role.OPERATOR, store)


@pytest.fixture
def desk(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def decided(status: str, outcome: str = "", *, hours: float = 2, ago: timedelta = timedelta(days=1), **fields: Any):
    closed = TODAY - ago
    return make_card(
        status=status, outcome=outcome, opened_at=closed - timedelta(hours=hours), closed_at=closed, **fields
    )


def figures(client: Client, query: str = "") -> dict[str, tuple[str, str]]:
    page = client.get(PAGE + query)
    assert page.status_code == 200
    return {figure.title: (figure.value, figure.before) for figure in page.context["figures"]}


def test_the_five_figures(desk: Client) -> None:
    decided("executed", impact="100", hours=1)
    decided("dismissed", "false", hours=3)
    decided("dismissed", "true", impact="50.4", currency="EUR", hours=2)
    decided("escalated", hours=30)
    make_card(opened_at=TODAY - timedelta(hours=1))
    assert {title: value for title, (value, _) in figures(desk, "?since=2026-02-27&until=2026-03-02").items()} == {
        "Alerts per day": "1.2",
        "False-positive rate": "25.0 %",
        "Alert to resolution": "2 h 30 min",
        "Escalation rate": "25.0 %",
        "Revenue protected": "100 USD + 50 EUR",
    }


def test_each_figure_stands_beside_the_one_before(desk: Client) -> None:
    for _ in range(3):
        decided("dismissed", "false", ago=timedelta(days=40))
    decided("dismissed", "benign")
    assert figures(desk)["False-positive rate"] == ("0.0 %", "100.0 %")


def test_the_last_day_asked_for_is_included(desk: Client) -> None:
    make_card(opened_at=datetime(2026, 2, 10, 23, 59, tzinfo=UTC))
    assert figures(desk, "?since=2026-02-10&until=2026-02-10")["Alerts per day"][0] == "1.0"
    assert figures(desk, "?since=2026-02-09&until=2026-02-09")["Alerts per day"][0] == "0.0"


def test_plots_and_rules_are_drawn_and_have_words(desk: Client) -> None:
    decided("dismissed", "false")
    page = desk.get(PAGE).content.decode()
    assert page.count("<svg viewBox") == 4
    assert "1 Mar: 1" in page
    assert "Order ageing" in page


def test_without_cards_it_says_so(desk: Client) -> None:
    page = desk.get(PAGE).content.decode()
    assert "Nothing happened in these days" in page
    assert "No alert holds" in page


def test_other_scopes_are_neither_counted_nor_alerted(desk: Client) -> None:
    foreign = ScopeFactory(name="Foreign")
    make_card(scope=foreign, opened_at=TODAY - timedelta(hours=1))
    make_card(scope=foreign, rule="refund-daily-rate", kind=ActionCard.Kind.REFUND_ANOMALY, target="Refunds of Foreign")
    assert figures(desk)["Alerts per day"][0] == "0.0"
    assert "Refunds of Foreign" not in desk.get(PAGE).content.decode()


def test_alerts_that_hold_are_shown(desk: Client, store) -> None:
    make_card(rule="monitoring-down", kind=ActionCard.Kind.MONITORING, target="Order monitoring")
    make_card(scope=store, rule="refund-daily-rate", kind=ActionCard.Kind.REFUND_ANOMALY, target="Refunds today")
    page = desk.get(PAGE).content.decode()
    assert "Monitoring is down" in page
    assert "High refund rate: Refunds today" in page
    assert "Critical" in page


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?since=2026-03-02&until=2026-03-01", "must not be after"),
        ("?since=2020-01-01&until=2026-03-01", "At most 366 days"),
        ("?since=soon&until=2026-03-01", "Enter a valid date"),
        ("?until=2026-03-01", "This field is required"),
    ],
)
def test_days_that_cannot_be_are_refused_with_words(desk: Client, query: str, words: str) -> None:
    page = desk.get(PAGE + query)
    assert page.status_code == 400
    assert words in page.content.decode()


def test_queries_do_not_grow_with_the_cards(desk: Client) -> None:
    for n in range(30):
        decided("dismissed", "false", ago=timedelta(days=n % 9))
    desk.get(PAGE)
    with CaptureQueriesContext(connection) as queries:
        desk.get(PAGE)
    assert len(queries) < 40


def test_who_may_look(client: Client) -> None:
    assert client.get(PAGE).status_code == 302
    client.force_login(person(Role.CONTENT_OWNER))
    assert client.get(PAGE).status_code == 403
    client.force_login(person(Role.AUDITOR))
    assert client.get(PAGE).status_code == 200
    assert client.post(PAGE).status_code == 405


def test_it_stands_in_the_rail(desk: Client) -> None:
    assert PAGE in desk.get("/admin/").content.decode()


def test_times_and_shares_in_words() -> None:
    assert [span(timedelta(seconds=s)) for s in (0, 40, 60, 3_900, 100_000)] == [
        "0 s", "40 s", "1 min", "1 h 5 min", "1 d 3 h",
    ]  # fmt: skip
    assert (span(None), share(None), share(0.125)) == ("–", "–", "12.5 %")


def test_a_rate_is_taken_over_a_week_of_decisions() -> None:
    days = [Day(date(2026, 3, 1) + timedelta(days=n), 0, 1, int(n == 0), 0) for n in range(9)]
    points = trailing(days, 3, lambda day: day.false)
    assert [round(value, 1) for _, value in points] == [14.3, 0.0, 0.0]
    assert trailing([Day(date(2026, 3, 1), 0, 0, 0, 0)], 1, lambda day: day.false) == [("1 Mar", 0.0)]
