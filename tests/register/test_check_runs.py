"""Running checks: isolation, history, cadence, thinning, and nothing written by a check stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from apps.core.models import Scope
from apps.register import runs
from apps.register.checking import Check, CheckSettings, Finding, check, checks, concluded
from apps.register.models import CheckResult
from apps.register.runs import due_checks, run_checks, thin_history
from tests.register.looking import NOON, SameProcess

pytestmark = pytest.mark.django_db
Adding = Callable[..., Check]


@pytest.fixture
def adding(monkeypatch: pytest.MonkeyPatch) -> Adding:
    """A registry of its own, to which a test adds checks."""
    monkeypatch.setattr(checks, "_rules", {})

    def add(slug: str, look: Callable[[], Finding], every: timedelta = timedelta(hours=1)) -> Check:
        def wrapped(*, now: Any, settings: CheckSettings, site: Any) -> Finding:
            return look()

        check(slug=slug, title=slug.title(), every=every)(wrapped)
        return checks[slug]

    return add


def passing() -> Finding:
    return concluded("All is well.", facts={"seen": 3}, query="rows")


def run(**arguments: Any) -> list[CheckResult]:
    return run_checks(**{"now": NOON, "site": SameProcess()} | arguments)


def test_what_a_check_finds_is_kept_with_its_evidence(adding: Adding) -> None:
    adding("well", passing)
    (result,) = run()
    result.refresh_from_db()
    assert (result.outcome, result.summary, result.latest) == ("pass", "All is well.", True)
    (entry,) = result.evidence
    assert entry["data"] == {"seen": 3, "limitsVersion": 1}
    assert entry["query"] == "rows"
    assert result.checked_at == result.since == NOON


def test_a_check_that_raises_is_an_error_and_stops_no_other(adding: Adding) -> None:
    def broken() -> Finding:
        raise RuntimeError("no such thing")

    adding("broken", broken)
    adding("well", passing)
    first, second = run()
    assert first.outcome == "error"
    assert "RuntimeError: no such thing" in first.summary
    assert second.outcome == "pass"


def test_what_a_failing_check_says_holds_no_secret(adding: Adding) -> None:
    def broken() -> Finding:
        raise RuntimeError("no answer from postgres://desk:hunter2secret@db/desk, password=hunter3secret")

    adding("broken", broken)
    (result,) = run()
    assert result.summary.startswith("The check itself failed, so nobody knows: RuntimeError: no answer")
    assert "hunter" not in f"{result.summary} {result.evidence}"


def test_a_check_that_hangs_in_the_database_is_cut_off(adding: Adding, monkeypatch: pytest.MonkeyPatch) -> None:
    def hanging() -> Finding:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(30)")
        return passing()

    monkeypatch.setattr(runs, "STATEMENT_TIMEOUT", "100ms")
    adding("hanging", hanging)
    adding("well", passing)
    assert [one.outcome for one in run()] == ["error", "pass"]


def test_a_streak_outlives_the_thinning(adding: Adding) -> None:
    adding("steady", passing)
    begun = NOON - timedelta(days=60)
    for day in range(60):
        run(now=begun + timedelta(days=day))
        run(now=begun + timedelta(days=day, hours=1))
    thin_history(NOON)
    thin_history(NOON)
    (after,) = run(now=NOON)
    assert after.since == begun


def test_a_check_that_breaks_its_transaction_stops_no_other(adding: Adding) -> None:
    def broken() -> Finding:
        Scope.objects.create(slug="twice", name="a")
        Scope.objects.create(slug="twice", name="b")
        return passing()

    adding("broken", broken)
    adding("well", passing)
    assert [one.outcome for one in run()] == ["error", "pass"]


def test_what_a_check_writes_is_taken_back(adding: Adding) -> None:
    def writing() -> Finding:
        Scope.objects.create(slug="left-behind", name="Left behind")
        return passing()

    adding("writing", writing)
    assert run()[0].outcome == "pass"
    assert not Scope.objects.filter(slug="left-behind").exists()


def test_since_when_an_outcome_holds(adding: Adding) -> None:
    outcomes = iter(["pass", "fail", "fail", "pass"])
    adding("moody", lambda: Finding(next(outcomes), "Who knows."))
    for hour in range(4):
        run(now=NOON + timedelta(hours=hour))
    found = CheckResult.objects.order_by("id").values_list("outcome", "since", "latest")
    one, three = NOON + timedelta(hours=1), NOON + timedelta(hours=3)
    assert list(found) == [
        ("pass", NOON, False),
        ("fail", one, False),
        ("fail", one, False),
        ("pass", three, True),
    ]


def test_results_are_not_changed_afterwards(adding: Adding) -> None:
    adding("well", passing)
    (result,) = run()
    with pytest.raises(IntegrityError), transaction.atomic():
        CheckResult.objects.filter(pk=result.pk).update(outcome="fail")


def test_checks_come_on_their_cadence_the_longest_waiting_first(adding: Adding) -> None:
    adding("hourly", passing, timedelta(hours=1))
    adding("daily", passing, timedelta(days=1))
    run(slugs=["daily"], now=NOON - timedelta(hours=3))
    run(slugs=["hourly"], now=NOON - timedelta(hours=1))
    assert due_checks(NOON) == ["hourly"]
    adding("never", passing)
    assert due_checks(NOON) == ["never", "hourly"]
    assert due_checks(NOON + timedelta(days=1)) == ["never", "daily", "hourly"]


def test_old_results_are_thinned_to_one_a_day_and_changes(adding: Adding) -> None:
    outcomes = {30: "pass", 29: "pass", 28: "fail", 27: "fail", 26: "pass"}
    hours: list[int] = []
    adding("moody", lambda: Finding(outcomes[hours[-1]], "Who knows."))
    long_ago = NOON.replace(hour=0) - timedelta(days=20)
    for hour in sorted(outcomes, reverse=True):
        hours.append(hour)
        run(now=long_ago + timedelta(hours=31 - hour))
    assert thin_history(NOON) == 2  # the second pass, and the second fail
    assert list(CheckResult.objects.order_by("id").values_list("outcome", flat=True)) == ["pass", "fail", "pass"]
    assert thin_history(NOON + timedelta(days=1000)) == 2
    assert CheckResult.objects.get().latest


def test_a_slug_is_taken_once_and_no_cadence_is_too_short(adding: Adding) -> None:
    adding("well", passing)
    with pytest.raises(ImproperlyConfigured, match="well"):
        adding("well", passing)
    with pytest.raises(ImproperlyConfigured, match="5 minutes"):
        adding("hasty", passing, timedelta(minutes=1))


def test_the_command_says_what_was_found_and_fails_with_the_checks(adding: Adding, monkeypatch: Any) -> None:
    monkeypatch.setattr(runs, "RunningSite", SameProcess)
    adding("well", passing)
    out = StringIO()
    call_command("run_checks", stdout=out)
    assert "pass  well" in out.getvalue()
    adding("ill", lambda: concluded("", failures=["Ill."]))
    with pytest.raises(CommandError, match="1 of 2"):
        call_command("run_checks", stdout=out)
    assert CheckResult.objects.filter(check_slug="well").count() == 2
    with pytest.raises(CommandError, match="no check 'absent'"):
        call_command("run_checks", "absent")
    out = StringIO()
    call_command("run_checks", "--due", stdout=out)
    assert out.getvalue() == ""
