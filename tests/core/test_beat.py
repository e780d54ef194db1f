"""The beat schedule: each entry names a task that exists, and a task nobody took in time is dropped, not heaped up."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from celery.schedules import crontab, schedule
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import ModelEntry

from config.celery import app

ENTRIES: dict[str, dict[str, Any]] = app.conf.beat_schedule
DAY = 24 * 60 * 60


def shortest_interval(turns: float | schedule) -> float:
    """The least time between two turns, in seconds."""
    if isinstance(turns, crontab):
        moments = sorted(hour * 3600 + minute * 60 for hour in turns.hour for minute in turns.minute)
        return min(later - earlier for earlier, later in pairwise([*moments, moments[0] + DAY]))
    return turns.run_every.total_seconds() if isinstance(turns, schedule) else float(turns)


def test_the_shortest_interval_is_understood() -> None:
    assert shortest_interval(crontab(minute="*/15")) == 900
    assert shortest_interval(crontab(minute="0,10")) == 600
    assert shortest_interval(crontab(hour="3", minute="30")) == DAY
    assert shortest_interval(15.0) == 15


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_each_entry_names_a_task_that_the_worker_knows(name: str) -> None:
    app.loader.import_default_modules()  # what a worker does first: it imports the tasks of every app
    assert ENTRIES[name]["task"] in app.tasks


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_each_entry_expires_before_its_next_turn(name: str) -> None:
    """Read back from the scheduler's own table, since it ignores options that it does not know."""
    entry = ENTRIES[name]
    ModelEntry.from_entry(name, app=app, **entry)
    stored = PeriodicTask.objects.get(name=name)
    assert stored.expire_seconds
    assert 0 < stored.expire_seconds < shortest_interval(entry["schedule"])
    assert stored.enabled


def test_no_entry_is_named_twice_for_one_task() -> None:
    tasks = [entry["task"] for entry in ENTRIES.values()]
    assert len(tasks) == len(set(tasks))
