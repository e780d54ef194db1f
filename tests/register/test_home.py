"""What the home page says about the register: for whom it counts what."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from apps.core.home import Content, Stat
from apps.core.models import User
from apps.core.roles import Role
from apps.register.home import register_panel
from apps.register.models import CheckResult, RegisterReview, Risk
from tests.core.factories import ScopeFactory, person
from tests.register.desk import an_acceptance, signed_in
from tests.register.factories import NOON, a_mitigation, a_scored_risk, an_assessment

pytestmark = pytest.mark.django_db
TODAY: date = NOON.date()


def panel(user: User) -> Content:
    return register_panel(user, NOON)


def stat(user: User, label: str) -> Stat:
    return next(one for one in panel(user).stats if one.label == label)


def labels(user: User) -> list[str]:
    return [one.label for one in panel(user).stats]


def a_result(outcome: str, *, check: str, latest: bool = True) -> CheckResult:
    result: CheckResult = CheckResult.objects.create(
        check_slug=check, outcome=outcome, latest=latest, checked_at=NOON, since=NOON, seconds=0.1, summary="Seen."
    )
    return result


def test_checks_that_fail_or_cannot_look_are_counted_as_they_are_now() -> None:
    keeper = person(Role.RISK_MANAGER)
    a_result("pass", check="a")
    a_result("warn", check="b")
    assert (stat(keeper, "Checks failing").value, stat(keeper, "Checks failing").tone) == (0, "ok")
    a_result("fail", check="a", latest=False)
    a_result("fail", check="c")
    a_result("error", check="d")
    assert (stat(keeper, "Checks failing").value, stat(keeper, "Checks failing").tone) == (2, "bad")


def test_a_review_is_overdue_from_the_day_after() -> None:
    keeper = person(Role.RISK_MANAGER)
    for days, status in ((0, "planned"), (-1, "planned"), (-9, "completed")):
        RegisterReview.objects.create(assessment=an_assessment(), due_on=TODAY + timedelta(days=days), status=status)
    assert stat(keeper, "Reviews overdue").value == 1


def test_acceptances_are_counted_for_those_who_may_decide_and_did_not_ask() -> None:
    asked = an_acceptance()
    assert stat(person(Role.RISK_MANAGER), "Acceptances to decide").value == 1
    assert asked.requested_by is not None
    assert "Acceptances to decide" not in labels(asked.requested_by)
    assert "Acceptances to decide" not in labels(person(Role.AUDITOR))


def test_mitigations_that_are_late_stand_before_the_gravest_own_risks() -> None:
    owner = person(Role.RISK_MANAGER)
    risk = a_scored_risk(3, 3, title="Grave", owner=owner)
    a_scored_risk(1, 1, title="Small", owner=owner)
    a_scored_risk(3, 3, title="Of somebody else")
    Risk.objects.filter(pk=a_scored_risk(title="Closed", owner=owner).pk).update(status="closed")
    for title, days in (("Late", -1), ("Soon", 7), ("Far", 8)):
        a_mitigation(risk, title=title, owner=owner, due_on=TODAY + timedelta(days=days))
    a_mitigation(risk, title="Done", owner=owner, due_on=TODAY - timedelta(days=1), status="done")
    rows = panel(owner).rows
    assert [row.title for row in rows] == ["Late", "Soon", "Grave", "Small"]
    assert [(row.badge, row.tone) for row in rows[:2]] == [("Overdue", "bad"), ("Due soon", "warn")]


def test_at_most_five_rows_are_shown() -> None:
    owner = person(Role.RISK_MANAGER)
    risk = a_scored_risk(owner=owner)
    for number in range(7):
        a_mitigation(risk, title=f"Late {number}", owner=owner, due_on=TODAY)
    assert len(panel(owner).rows) == 5


def test_of_other_scopes_nothing_is_counted() -> None:
    mine, other = ScopeFactory(), ScopeFactory()
    for scope in (mine, other):
        RegisterReview.objects.create(
            assessment=an_assessment(scope=scope), due_on=TODAY - timedelta(days=1), status="planned"
        )
    assert stat(person(Role.SUPPORT_MANAGER, mine), "Reviews overdue").value == 1


def test_every_number_leads_to_a_page_that_opens() -> None:
    keeper = person(Role.RISK_MANAGER)
    an_acceptance()
    browser = signed_in(keeper)
    for one in panel(keeper).stats:
        assert browser.get(one.url).status_code == 200, one.label


def test_who_may_not_see_the_register_is_shown_nothing_of_it(client: Client) -> None:
    client.force_login(person(Role.RISK_MANAGER))
    assert b"You own no risk and no mitigation." in client.get(reverse("admin:index")).content
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert b"You own no risk" not in client.get(reverse("admin:index")).content
