"""Two people at one risk by page and by API, fifty times over; and a database that ends the session while checks look."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.conf import settings
from django.db import connection
from rest_framework.test import APIClient

from apps.core.roles import Role
from apps.register import runs
from apps.register.checking import CheckSettings, Finding, check, checks, concluded
from apps.register.models import CheckResult, Risk
from apps.register.runs import run_checks
from tests.core.factories import person
from tests.register.desk import signed_in
from tests.register.factories import a_risk
from tests.register.looking import NOON, SameProcess
from tests.register.test_races import at_once

pytestmark = pytest.mark.django_db(transaction=True)
TIMES = 50


def test_of_two_who_edit_by_page_and_by_api_the_second_is_told_fifty_times() -> None:
    by_page, by_api, risk = person(Role.RISK_MANAGER), person(Role.RISK_MANAGER), a_risk()
    browser, api = signed_in(by_page), APIClient()
    api.force_authenticate(by_api)
    winners = set()
    for turn in range(TIMES):
        seen = Risk.objects.get(pk=risk.pk).version
        form = {"title": f"Page {turn}", "treatment": "mitigate", "seen": seen, "reason": f"By page {turn}."}
        body = {"title": f"Interface {turn}", "reason": f"By API {turn}."}
        page, answer = at_once(
            lambda form=form: browser.post(f"/admin/register/risk/{risk.pk}/edit/", form),
            lambda body=body, seen=seen: api.patch(
                f"/api/risks/{risk.pk}", body, format="json", headers={"If-Match": f'"{seen}"'}
            ),
        )
        risk.refresh_from_db()
        assert_one_is_told(page, answer, risk, turn)
        winners.add(risk.title.split()[0])
        assert risk.version == seen + 1
        last = LogEntry.objects.get_for_object(risk).latest("pk")
        assert (last.actor, last.additional_data["reason"]) in ((by_page, form["reason"]), (by_api, body["reason"]))
        assert last.changes["title"][1] == risk.title
    assert LogEntry.objects.get_for_object(risk).filter(action=LogEntry.Action.UPDATE).count() == TIMES
    assert winners <= {"Page", "Interface"}


def assert_one_is_told(page: Any, answer: Any, risk: Risk, turn: int) -> None:
    """The other one is told what the first wrote, and on the page finds what was typed."""
    codes = (page.status_code, answer.status_code)
    if codes == (302, 412):
        assert risk.title == f"Page {turn}"
        assert risk.title in answer.json()["error"]["message"]
        assert answer["ETag"] == f'"{risk.version}"'
    else:
        assert codes == (409, 200)
        assert risk.title == f"Interface {turn}"
        assert risk.title in page.text
        assert f'value="Page {turn}"' in page.text


@pytest.fixture
def three_checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Checks of a registry of their own; the second one's session is ended while it looks, the first time."""
    monkeypatch.setattr(checks, "_rules", {})
    ended: list[str] = []

    def add(slug: str) -> None:
        def look(*, now: Any, settings: CheckSettings, site: Any) -> Finding:
            if slug == "second" and not ended:
                ended.append(slug)
                end_our_session()
            return concluded(f"{Risk.objects.count()} risks.")

        check(slug=slug, title=slug, every=timedelta(hours=1))(look)

    for slug in ("first", "second", "third"):
        add(slug)
    return ended


def run() -> list[tuple[str, str]]:
    return [(one.check_slug, one.outcome) for one in run_checks(now=NOON, site=SameProcess())]


def latest() -> dict[str, str]:
    return dict(CheckResult.objects.filter(latest=True).values_list("check_slug", "outcome"))


def test_a_database_that_restarts_while_a_check_looks_loses_no_result(three_checks: list[str]) -> None:
    assert run() == [("first", "pass"), ("second", "error"), ("third", "pass")]
    assert latest() == {"first": "pass", "second": "error", "third": "pass"}
    assert three_checks == ["second"]
    assert run() == [("first", "pass"), ("second", "pass"), ("third", "pass")]
    assert CheckResult.objects.count() == 6


def test_a_database_that_restarts_while_a_result_is_written_loses_none(
    three_checks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    three_checks.append("not this time")
    whole, wrote = runs._evidence, []

    def ends_the_session(*arguments: Any) -> dict[str, Any]:
        wrote.append(arguments[0].slug)
        if len(wrote) == 2:
            end_our_session()
        return whole(*arguments)

    monkeypatch.setattr(runs, "_evidence", ends_the_session)
    assert run() == [("first", "pass"), ("second", "pass"), ("third", "pass")]
    assert wrote == ["first", "second", "second", "third"]
    assert latest() == {"first": "pass", "second": "pass", "third": "pass"}
    assert CheckResult.objects.count() == 3


def end_our_session() -> None:
    """As a restart of the database does: from outside, with whatever transaction is open."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        ours = cursor.fetchone()[0]
    database = connection.settings_dict
    place = (
        f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT'] or 5432}/{database['NAME']}"
    )
    if database["HOST"].startswith("/"):
        place = f"{database['USER']}@/{database['NAME']}?host={database['HOST']}"
    source = "import sys, psycopg; psycopg.connect(sys.argv[1]).execute('SELECT pg_terminate_backend(%s)', [int(sys.argv[2])])"
    subprocess.run(
        [sys.executable, "-c", source, f"postgres://{place}", str(ours)],
        env=os.environ,
        cwd=settings.BASE_DIR,
        check=True,
    )
