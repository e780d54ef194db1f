"""The list of controls: found by what they say, by their kind, and by whether a look at them is overdue."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.core.roles import Role
from apps.register import controls
from apps.register.models import CheckResult
from tests.core.factories import person
from tests.register.factories import a_control

pytestmark = pytest.mark.django_db
LIST = "/admin/register/control/"


@pytest.fixture
def browser(client: Client) -> Client:
    now, manager = timezone.now(), person(Role.RISK_MANAGER)
    for slug, outcome in (("backup-age", "fail"), ("decision-log", "pass"), ("request-ids", "error")):
        a_control(kind="checked", check_slug=slug, title=slug)
        at = now - timedelta(days=30) if slug == "decision-log" else now
        CheckResult.objects.create(
            check_slug=slug, outcome=outcome, summary="Seen.", checked_at=at, since=at, seconds=0.1
        )
    a_control(kind="checked", check_slug="restore-test", title="never-looked")
    a_control(title="unsaid")
    a_control(title="unused", active=False)
    for title, outcome, ago in (("in-place", "pass", 1), ("partly", "warn", 1), ("ended", "pass", 100)):
        controls.attest(
            control_id=a_control(title=title, every_days=30).pk, outcome=outcome, statement="Seen.", actor=manager,
            now=now - timedelta(days=ago), link="https://example.org/seen",
        )  # fmt: skip
    client.force_login(person(Role.AUDITOR))
    return client


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("says=pass", {"decision-log", "in-place"}),
        ("says=warn", {"partly"}),
        ("says=fail", {"backup-age"}),
        ("says=error", {"request-ids"}),
        ("says=unknown", {"never-looked", "unsaid", "unused", "ended"}),
        ("says=nonsense", set()),
        ("overdue=yes", {"decision-log", "never-looked", "unsaid", "ended"}),
        ("overdue=no", {"backup-age", "request-ids", "in-place", "partly", "unused"}),
        ("overdue=yes&kind__exact=attested", {"unsaid", "ended"}),
        ("overdue=yes&says=pass", {"decision-log"}),
    ],
)
def test_filters_find_their_controls(browser: Client, query: str, titles: set[str]) -> None:
    page = browser.get(f"{LIST}?{query}")
    assert page.status_code == 200
    assert {control.title for control in page.context["cl"].result_list} == titles


def test_what_is_overdue_is_marked(browser: Client) -> None:
    page = browser.get(LIST)
    assert page.text.count("Overdue</span>") == 4
    assert {one.title for one in page.context["cl"].result_list if one.late} == {
        "decision-log", "never-looked", "unsaid", "ended",
    }  # fmt: skip


def test_the_filter_says_what_the_row_says(browser: Client) -> None:
    for control in browser.get(LIST).context["cl"].result_list:
        found = browser.get(f"{LIST}?says={control.shown.outcome or 'unknown'}").context["cl"].result_list
        assert control.title in {one.title for one in found}
