"""The figures of the risk dashboard, and who is asked for feedback."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.core.models import Notification, Scope, User
from apps.core.roles import Role
from apps.escalation import flags, trends
from apps.escalation.models import Category, Feedback, Proposal, RiskFlag
from apps.escalation.sweep import sweep
from tests.core.factories import ScopeFactory, person
from tests.escalation.factories import NOON, move_to, raised, staff, ticket

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
START, END = NOON - 10 * DAY, NOON + 10 * DAY
PAGE = "/admin/escalation/riskflag/dashboard/"


@pytest.fixture
def store() -> Scope:
    return ScopeFactory()


def by_level(user: User | None = None) -> dict[int, trends.OfLevel]:
    return {one.level: one for one in trends.by_level(user=user, start=START, end=END, now=NOON + 5 * DAY)}


def said(flag: RiskFlag, useful: bool, *missing: str) -> None:
    Feedback.objects.create(flag=flag, by=person(Role.TEAM_LEAD), useful=useful, missing_fields=list(missing), at=NOON)


def test_levels_are_counted_with_the_period_before() -> None:
    raised(level=3)
    raised(level=3, now=NOON - 15 * DAY)
    raised(level=3, now=NOON - 40 * DAY)
    raised(level=5, proposed=True)
    ended = move_to(raised(level=2, now=NOON - DAY), "documented")
    lead = person(Role.TEAM_LEAD)
    flags.move(
        flag_id=ended.pk, seen_version=ended.version, transition="close", actor=lead, now=NOON + DAY, reason="Known."
    )
    found = by_level()
    assert (found[3].raised, found[3].before, found[3].open) == (1, 1, 3)
    assert (found[2].raised, found[2].ended, found[2].open, found[2].closing) == (1, 1, 0, 2 * DAY)
    assert (found[5].raised, found[5].open) == (0, 0), "what was only proposed does not count"
    assert list(found) == [5, 4, 3, 2, 1]


def test_deadlines_that_passed_are_counted_once_a_flag() -> None:
    person(Role.TEAM_LEAD)
    raised(level=3)
    sweep(now=NOON + 2 * DAY)
    sweep(now=NOON + 3 * DAY)
    found = by_level()
    assert (found[3].late, found[3].missed) == (1, 1)
    assert trends.missed_by_step(user=None, start=START, end=END) == [("With the team lead", 1)]
    assert trends.missed_by_step(user=None, start=END, end=END + DAY) == []


def test_the_time_until_somebody_has_it_in_hand() -> None:
    lead = person(Role.TEAM_LEAD)
    for minutes in (10, 20, 90):
        flag = raised(level=3)
        flags.acknowledge(flag_id=flag.pk, actor=lead, now=NOON + timedelta(minutes=minutes))
    raised(level=3)
    assert trends.acknowledging(user=None, start=START, end=END) == timedelta(minutes=20)
    assert trends.acknowledging(user=None, start=END, end=END + DAY) is None


def test_feedback_is_told_by_indicator_category_level_and_missing_field() -> None:
    late = Category.objects.create(slug="late", name="Late parcels")
    from_ticket = raised(level=4, indicator="data", source=f"ticket:{ticket(category=late).pk}")
    named = raised(level=3, indicator="data", references=[f"ticket:{ticket(category=late).pk}"])
    said(from_ticket, True)
    said(from_ticket, False, "impact", "frequency")
    said(named, False, "impact")
    said(raised(level=3), True)
    found = trends.feedback(user=None, start=START, end=END)
    assert (found.all.useful, found.all.useless, found.flags) == (2, 2, 3)
    assert [(one.label, one.useful, one.useless) for one in found.by_indicator] == [
        ("Data concerns", 1, 2), ("No indicator", 1, 0),
    ]  # fmt: skip
    assert [(one.label, one.useful, one.useless) for one in found.by_category] == [
        ("Late parcels", 1, 2), ("Not from a ticket", 1, 0),
    ]  # fmt: skip
    assert {one.label for one in found.by_level} == {"4 High", "3 Medium"}
    assert found.missing == (("Customer impact", 2), ("Frequency and timing", 1))
    assert found.by_indicator[0].share == pytest.approx(1 / 3)
    assert trends.feedback(user=None, start=END, end=END + DAY).all.share is None


def test_a_person_sees_the_figures_of_their_own_scopes(store: Scope) -> None:
    said(raised(level=3, scope=store), True)
    said(raised(level=3, scope=ScopeFactory()), False)
    lead = person(Role.TEAM_LEAD, store)
    assert by_level(lead)[3].raised == 1
    assert trends.feedback(user=lead, start=START, end=END).all.share == 1
    assert trends.by_indicator(user=lead, start=START, end=END) == [("No indicator", 1, 0)]
    assert sum(count for _, count in trends.by_day(user=lead, start=START, end=END)) == 1
    assert len(trends.by_day(user=lead, start=START, end=END)) == 20


def test_the_dashboard_shows_precision_and_feedback_by_indicator(client: Client, store: Scope) -> None:
    now = timezone.now()
    flag = raised(level=4, indicator="data", scope=store, now=now)
    Feedback.objects.create(flag=flag, by=person(Role.TEAM_LEAD), useful=False, missing_fields=["impact"], at=now)
    for number, status in enumerate(("confirmed", "confirmed", "confirmed", "rejected")):
        Proposal.objects.create(
            indicator="data", subject=f"ticket:{number}", title="x", score=1, level=3, status=status, decided_at=now,
            created_at=now, updated_at=now,
        )  # fmt: skip
    client.force_login(person(Role.TEAM_LEAD, store))
    answer = client.get(PAGE)
    row = next(one for one in answer.context["indicators"] if one["label"] == "Data concerns")
    assert (row["confirmed"], row["rejected"], row["precision"], row["flags"]) == (3, 1, "75.0 %", 1)
    page = answer.content.decode()
    assert "75.0 %" in page
    assert "0.0 %" in page
    assert "Customer impact" in page
    assert "Not from a ticket" in page


def test_an_empty_dashboard_says_so(client: Client) -> None:
    client.force_login(person(Role.RISK_MANAGER))
    assert "Nothing happened in these days" in client.get(PAGE).content.decode()
    wrong = client.get(PAGE, {"since": "2026-05-01", "until": "2026-04-01"})
    assert wrong.status_code == 400
    assert "must not be after" in wrong.content.decode()
    assert client.post(PAGE).status_code == 405


def test_who_sees_no_flags_sees_no_dashboard(client: Client) -> None:
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert client.get(PAGE).status_code == 403


def test_the_dashboard_takes_few_queries_however_much_there_is(client: Client, store: Scope) -> None:
    now = timezone.now()
    client.force_login(person(Role.RISK_MANAGER))

    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(PAGE).status_code == 200
        return len(captured)

    count()
    empty = count()
    for number in range(6):
        flag = raised(level=number % 5 + 1, scope=store, now=now, indicator="data" if number % 2 else "")
        Feedback.objects.create(flag=flag, by=person(Role.TEAM_LEAD), useful=True, at=now)
    assert count() <= empty + 4


def test_who_worked_on_a_flag_is_asked_for_feedback_when_it_ends(client: Client, store: Scope) -> None:
    people = staff(store)
    flag = raised(level=3, scope=store, raised_by=people[Role.SUPPORT_AGENT])
    flags.acknowledge(flag_id=flag.pk, actor=people[Role.TEAM_LEAD], now=NOON)
    assert not Notification.objects.filter(title__startswith="Was this flag useful?")
    flags.move(
        flag_id=flag.pk, seen_version=1, transition="reject", actor=people[Role.SUPPORT_MANAGER], now=NOON, reason="No."
    )
    asked = Notification.objects.filter(title__startswith="Was this flag useful?")
    assert {one.recipient for one in asked} == {
        people[role] for role in (Role.SUPPORT_AGENT, Role.TEAM_LEAD, Role.SUPPORT_MANAGER)
    }
    client.force_login(people[Role.SUPPORT_AGENT])
    page = f"/admin/escalation/riskflag/{flag.pk}/change/"
    assert "Was this escalation useful to you?" in client.get(page).content.decode()
    given = {"useful": "no", "missing_fields": ["impact"], "comment": ""}
    assert client.post(asked.first().url, given).status_code == 302  # type: ignore[union-attr]  # there are three
    after = client.get(page).content.decode()
    assert "Was this escalation useful to you?" not in after
    assert "Missing: Customer impact" in after
    client.force_login(people[Role.AUDITOR])
    assert "Was this escalation useful to you?" not in client.get(page).content.decode()
