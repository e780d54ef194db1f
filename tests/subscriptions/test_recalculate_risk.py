"""The command that calculates by hand, and the tasks of the schedule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from celery.schedules import crontab
from django.core.management import CommandError, call_command

from apps.subscriptions import recalculation, tasks
from apps.subscriptions.models import RecalculationRun, RiskScore
from apps.subscriptions.recalculation import request_run
from config.celery import app
from tests.subscriptions.factories import NOW, SubscriptionFactory

pytestmark = pytest.mark.django_db


def called(*args: str) -> str:
    out = StringIO()
    call_command("recalculate_risk", *args, stdout=out)
    return out.getvalue()


def test_all_active_ones_with_progress_and_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        SubscriptionFactory()
    SubscriptionFactory(status="cancelled")
    assert called("--all", "--batch-size", "2").startswith("3 calculated, 0 failed, 0 degraded, 3 changed level, ")
    assert "3/3" in capsys.readouterr().err
    run = RecalculationRun.objects.get()
    assert (run.trigger, run.status, run.batch_size) == ("command", "finished", 2)


def test_some_whatever_their_status() -> None:
    one, other = SubscriptionFactory(status="paused"), SubscriptionFactory()
    assert called(str(one.pk), "--no-progress") == "1 calculated, 0 failed, 0 degraded, 1 changed level\n"
    assert list(RiskScore.objects.values_list("subscription", flat=True)) == [one.pk]
    assert called(str(one.pk), str(other.pk), "--batch-size", "1").startswith("2 calculated")


@pytest.mark.parametrize(
    "args", [[], ["--all", str(uuid4())], ["seven"], [str(uuid4())], ["--all", "--batch-size", "0"]]
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(args: list[str]) -> None:
    SubscriptionFactory()
    with pytest.raises(CommandError):
        called(*args)
    assert not RiskScore.objects.exists()
    assert not RecalculationRun.objects.exists()


def test_while_another_process_works_the_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> Any:
        raise recalculation.AlreadyRunning

    monkeypatch.setattr("apps.subscriptions.management.commands.recalculate_risk.work", refuse)
    with pytest.raises(CommandError, match="being recalculated already"):
        called("--all")


def test_every_day_at_two_in_utc() -> None:
    entry = app.conf.beat_schedule["subscriptions.recalculate_all"]
    assert entry["schedule"] == crontab(hour="2", minute="0")
    assert app.conf.timezone == "UTC"
    assert entry["task"] == tasks.recalculate_all.name


def test_the_daily_task_calculates_all() -> None:
    SubscriptionFactory()
    with time_machine.travel(datetime(2026, 3, 3, 2, 0, tzinfo=UTC), tick=False):
        assert tasks.recalculate_all() == "finished"
    run = RecalculationRun.objects.get()
    assert (run.trigger, run.succeeded, run.as_of) == ("schedule", 1, datetime(2026, 3, 3, 2, 0, tzinfo=UTC))


def test_what_was_cut_off_yesterday_is_finished_before_todays() -> None:
    SubscriptionFactory()
    request_run(trigger="api", now=NOW)
    with time_machine.travel(NOW + timedelta(days=1), tick=False):
        assert tasks.recalculate_all() == "finished"
    runs = RecalculationRun.objects.order_by("pk")
    assert [(run.trigger, run.status, run.as_of) for run in runs] == [
        ("api", "finished", NOW),
        ("schedule", "finished", NOW + timedelta(days=1)),
    ]


def test_what_people_asked_for_is_done_by_the_minute() -> None:
    SubscriptionFactory()
    assert tasks.resume_recalculation() == "nothing to do"
    request_run(trigger="admin", now=NOW)
    assert tasks.resume_recalculation() == "finished"


def test_a_run_that_is_under_way_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> Any:
        raise recalculation.AlreadyRunning

    request_run(trigger="admin", now=NOW)
    monkeypatch.setattr(tasks, "work", refuse)
    assert tasks.resume_recalculation() == "another process is at it"
