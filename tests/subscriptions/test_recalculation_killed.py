"""A recalculation that is killed half-way goes on where it was, and does nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from apps.subscriptions import recalculation
from apps.subscriptions.models import RecalculationRun, RiskScore, RiskScoreHistory
from apps.subscriptions.recalculation import AlreadyRunning, request_run, work
from tests.core.factories import UserFactory
from tests.subscriptions.factories import NOW, SubscriptionFactory

pytestmark = pytest.mark.django_db(transaction=True)

# The third batch has done all its work when it is cut off, except to commit.
_WORK = """
import sys, time
import django
django.setup()
from apps.subscriptions import recalculation
from tests.subscriptions.factories import NOW

batches = 0
whole = recalculation._note

def slow(*args):
    global batches
    batches += 1
    whole(*args)
    if batches == 3:
        print("half", flush=True)
        time.sleep(60)

recalculation._note = slow
recalculation.work(recalculation.request_run(trigger="schedule", now=NOW, batch_size=4))
"""


@contextmanager
def half_way() -> Iterator[subprocess.Popen[str]]:
    """Another process that recalculates, and is in its third batch."""
    database = connection.settings_dict
    place = (
        f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT'] or 5432}/{database['NAME']}"
    )
    if database["HOST"].startswith("/"):
        place = f"{database['USER']}@/{database['NAME']}?host={database['HOST']}"
    environment = os.environ | {
        "DATABASE_URL": f"postgres://{place}",
        "PYTHONPATH": str(settings.BASE_DIR),
        "LOG_LEVEL": "ERROR",
    }
    started = subprocess.Popen([sys.executable, "-c", _WORK], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        assert started.stdout.readline().strip() == "half"
        yield started
    finally:
        started.kill()
        started.wait(10)
        started.stdout.close()  # type: ignore[union-attr]


def test_a_killed_run_goes_on_after_its_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = UserFactory()
    ids = sorted(SubscriptionFactory(owner=owner, scope=None).pk for _ in range(18))
    with half_way() as started:
        started.send_signal(signal.SIGKILL)
        assert started.wait(10) == -signal.SIGKILL

    run = RecalculationRun.objects.get()
    assert (run.status, run.succeeded, run.cursor) == ("running", 8, ids[7])
    assert set(RiskScore.objects.values_list("subscription_id", flat=True)) == set(ids[:8])

    calculated: list[Any] = []
    whole = recalculation.recalculate
    monkeypatch.setattr(
        recalculation, "recalculate", lambda ids, **options: (calculated.extend(ids), whole(ids, **options))[1]
    )
    again = _until_unlocked(request_run(trigger="schedule", now=NOW))
    assert again.pk == run.pk
    assert calculated == ids[8:]
    assert (again.status, again.total, again.succeeded, again.failed) == ("finished", 18, 18, 0)
    assert RiskScore.objects.count() == RiskScoreHistory.objects.count() == 18
    assert RecalculationRun.objects.count() == 1


def test_while_one_process_works_another_is_refused() -> None:
    owner = UserFactory()
    for _ in range(18):
        SubscriptionFactory(owner=owner, scope=None)
    with half_way():
        run = request_run(trigger="api", now=NOW)
        assert run.succeeded == 8
        with pytest.raises(AlreadyRunning):
            work(run)


def _until_unlocked(run: RecalculationRun) -> RecalculationRun:
    """Work as soon as the server has noticed, which takes moments, that the killed process is gone."""
    deadline = monotonic() + 10
    while True:
        try:
            return work(run)
        except AlreadyRunning:
            assert monotonic() < deadline
            sleep(0.05)
