"""The pages of checks: what was found, who may change limits and ask for a look, and both sides of each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError

from apps.core.models import Decision
from apps.core.roles import Role
from apps.register import tasks
from apps.register.admin.checks import standings
from apps.register.checking import checks
from apps.register.delivered import ensure_controls
from apps.register.models import CheckResult, CheckVersion
from apps.register.runs import due_checks, run_checks
from tests.core.factories import person
from tests.register.looking import NOON, SameProcess, look

pytestmark = pytest.mark.django_db
LIST, PAGE = "/admin/register/checkversion/", "/admin/register/checkversion/rule/backup-age/"
RUN = f"{PAGE}run/"


@pytest.fixture(autouse=True)
def nobody_asked_before() -> None:
    cache.delete("register:round")


@pytest.fixture
def manager(client: Client) -> Client:
    client.force_login(person(Role.RISK_MANAGER))
    return client


def test_the_list_shows_failing_checks_first(manager: Client) -> None:
    run_checks(now=NOON, slugs=["backup-age", "circuit-breakers"], site=SameProcess())
    page = manager.get(LIST)
    assert page.status_code == 200
    assert standings()[0].one.slug == "backup-age"
    assert "No backup was ever recorded." in page.text
    assert page.text.count("<tr>") == len(checks) + 1


def test_the_page_shows_evidence_history_and_what_to_do(manager: Client) -> None:
    ensure_controls()
    for hour in range(3):
        run_checks(now=NOON + timedelta(hours=hour), slugs=["backup-age"], site=SameProcess())
    page = manager.get(PAGE).text
    assert "No backup was ever recorded." in page
    assert "What to do:" in page
    assert "Last 3 results: 3 fail" in page
    assert "manage.py record_backup FILE" in page


def form(**changes: Any) -> dict[str, Any]:
    return {"seen": 1, "hours": 48, "enabled": "on", "reason": "Weekends.", **changes}


def test_a_risk_manager_changes_limits_by_a_new_version(manager: Client) -> None:
    manager.get(PAGE)
    assert manager.post(PAGE, form()).status_code == 302
    version = CheckVersion.objects.filter(rule="backup-age").order_by("-number")[0]
    assert (version.number, version.settings, version.reason) == (2, {"hours": 48}, "Weekends.")
    assert Decision.objects.get(action="check_version_made").payload["settings"] == {"hours": 48}
    run_checks(now=NOON, slugs=["backup-age"], site=SameProcess())
    assert CheckResult.objects.get().evidence[0]["data"]["limitsVersion"] == 2


def test_a_check_that_is_off_does_not_look(manager: Client) -> None:
    manager.get(PAGE)
    assert manager.post(PAGE, form(enabled="")).status_code == 302
    assert run_checks(now=NOON, slugs=["backup-age"], site=SameProcess()) == []
    assert "backup-age" not in due_checks(NOON)
    assert "circuit-breakers" in due_checks(NOON)


@pytest.mark.parametrize("hours", ["0", "none"])
def test_limits_off_their_bounds_are_refused(manager: Client, hours: str) -> None:
    manager.get(PAGE)
    assert manager.post(PAGE, form(hours=hours)).status_code == 400
    assert CheckVersion.objects.filter(rule="backup-age").count() == 1


def test_a_look_is_asked_of_a_worker(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(tasks.run_one_check, "apply_async", lambda **options: asked.append(options["args"]))
    assert manager.post(RUN).status_code == 302
    assert asked == [["backup-age"]]
    assert manager.get(RUN).status_code == 405
    assert manager.post(RUN.replace("backup-age", "absent")).status_code == 404


def test_a_queue_that_does_not_answer_is_said(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**options: Any) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(tasks.run_one_check, "apply_async", broken)
    assert "queue_unavailable" in manager.post(RUN, follow=True).text


@pytest.mark.parametrize("role", [Role.TEAM_LEAD, Role.AUDITOR])
def test_who_only_reads_changes_nothing(client: Client, role: Role) -> None:
    client.force_login(person(role))
    page = client.get(PAGE)
    assert page.status_code == 200
    assert "Make a new version" not in page.text
    assert "Look now" not in page.text
    assert client.post(PAGE, form()).status_code == 403
    assert client.post(RUN).status_code == 403


def test_an_agent_sees_no_checks(client: Client) -> None:
    client.force_login(person(Role.SUPPORT_AGENT))
    assert client.get(LIST).status_code == client.get(PAGE).status_code == 403


def test_tasks_look_by_what_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "due_checks", lambda now: ["backup-age"])
    assert tasks.run_due_checks() == 1
    assert tasks.run_one_check("backup-age") == "fail"
    assert tasks.thin_check_history() == 0
    assert look("backup-age").outcome == "fail"


ALL = f"{LIST}run/"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(tasks.run_one_check, "apply_async", lambda **options: found.extend(options["args"]))
    return found


def test_all_checks_look_when_asked_and_the_page_tells_how_far_they_are(manager: Client, asked: list[str]) -> None:
    assert "Run all checks now" in manager.get(LIST).text
    assert manager.post(ALL).status_code == 302
    assert sorted(asked) == sorted(one.slug for one in checks)
    page = manager.get(LIST).text
    assert f"0 of {len(checks)} have looked" in page
    assert 'data-live="going"' in page
    run_checks(now=timezone.now(), slugs=["backup-age"], site=SameProcess())
    assert f"1 of {len(checks)} have looked" in manager.get(LIST).text


def test_while_all_look_nobody_asks_again(manager: Client, asked: list[str]) -> None:
    manager.post(ALL)
    assert "looking already" in manager.post(ALL, follow=True).text
    assert len(asked) == len(checks)
    with time_machine.travel(timezone.now() + timedelta(minutes=11), tick=False):
        page = manager.get(LIST).text
        assert "Not finished" in page
        assert 'data-live=""' in page
        manager.post(ALL)
    assert len(asked) == 2 * len(checks)


def test_a_check_that_is_off_is_not_waited_for(manager: Client, asked: list[str]) -> None:
    manager.get(PAGE)
    manager.post(PAGE, form(enabled=""))
    manager.post(ALL)
    assert "backup-age" not in asked
    assert f"of {len(checks) - 1} have looked" in manager.get(LIST).text


def test_a_round_that_nobody_could_be_asked_for_is_not_waited_for(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**options: Any) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(tasks.run_one_check, "apply_async", broken)
    assert "queue_unavailable" in manager.post(ALL, follow=True).text
    assert "have looked" not in manager.get(LIST).text


@pytest.mark.parametrize("role", [Role.TEAM_LEAD, Role.AUDITOR, Role.SUPPORT_AGENT])
def test_who_may_not_run_checks_does_not_run_all(client: Client, role: Role, asked: list[str]) -> None:
    client.force_login(person(role))
    assert "Run all checks now" not in client.get(LIST).text
    assert client.post(ALL).status_code == 403
    assert client.get(ALL).status_code in (403, 405)
    assert asked == []
