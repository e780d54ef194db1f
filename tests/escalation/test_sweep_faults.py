"""The sweep under fire: killed workers, two beats at once, a database that restarts. Nothing is lost, skipped or repeated."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from apps.core.models import Decision, Notification, User
from apps.core.roles import Role
from apps.escalation import flags
from apps.escalation import sweep as sweeping
from apps.escalation.models import Clock, ClockEvent, FlagEvent, RiskFlag
from apps.escalation.sweep import Swept, sweep
from tests.core.factories import person
from tests.escalation.factories import NOON, minutes, raised
from tests.support.races import at_once, kill

pytestmark = pytest.mark.django_db(transaction=True)
DUE = NOON + minutes(5)
FLAGS = 12

# A worker that stops at a point of its second batch, having said so.
_SWEEP = """
import sys, time
import django
django.setup()
from apps.escalation import sweep as sweeping
from tests.escalation.factories import NOON, minutes

name, batches = sys.argv[1], 0
whole = getattr(sweeping, name)

def slow(*args, **options):
    global batches
    batches += 1
    if batches < int(sys.argv[2]):
        return whole(*args, **options)
    found = whole(*args, **options) if sys.argv[3] == "after" else None
    print("half", flush=True)
    time.sleep(60)
    return found

setattr(sweeping, name, slow)
sweeping.sweep(now=NOON + minutes(5), batch=5)
"""


@pytest.fixture(autouse=True)
def flags_that_nobody_acknowledges() -> None:
    for role in (Role.TEAM_LEAD, Role.SUPPORT_MANAGER, Role.RISK_MANAGER):
        person(role)
    for _ in range(FLAGS):
        raised(level=5)
    Notification.objects.all().delete()


def environment() -> dict[str, str]:
    database = connection.settings_dict
    place = (
        f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT'] or 5432}/{database['NAME']}"
    )
    if database["HOST"].startswith("/"):
        place = f"{database['USER']}@/{database['NAME']}?host={database['HOST']}"
    ours = {"DATABASE_URL": f"postgres://{place}", "PYTHONPATH": str(settings.BASE_DIR), "LOG_LEVEL": "ERROR"}
    return os.environ | ours


@contextmanager
def half_way(name: str, batch: int, when: str) -> Iterator[subprocess.Popen[str]]:
    """Another worker that sweeps in batches of five, and stopped before or after a function of a batch."""
    arguments = [sys.executable, "-c", _SWEEP, name, str(batch), when]
    started = subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        assert started.stdout.readline().strip() == "half"
        yield started
    finally:
        started.kill()
        started.wait(10)
        started.stdout.close()  # type: ignore[union-attr]


def assert_each_was_told_exactly_once() -> None:
    assert sorted(ClockEvent.objects.exclude(kind="start").values_list("clock", flat=True)) == sorted(
        Clock.objects.filter(target="acknowledge").values_list("pk", flat=True)
    )
    assert Notification.objects.count() == FLAGS  # one manager
    assert FlagEvent.objects.filter(kind="told", data__rung=1).count() == FLAGS
    assert Decision.objects.filter(action="risk_flag_rung_told").count() == FLAGS
    rungs = Clock.objects.filter(target="acknowledge").values_list("rung", "next_deadline_at").distinct()
    assert list(rungs) == [(1, DUE + minutes(5))]


POINTS = [
    pytest.param("_claim", "after", id="between claim and notify"),
    pytest.param("notify_many", "after", id="between notify and advance"),
    pytest.param("record_many", "after", id="before the commit"),
]


@pytest.mark.parametrize(("name", "when"), POINTS)
def test_a_killed_worker_leaves_nothing_half_done_and_the_next_sweep_does_it(name: str, when: str) -> None:
    with half_way(name, 1, when) as worker:
        kill(worker)
    assert not Notification.objects.exists()
    assert sweep(now=DUE) == Swept(FLAGS, FLAGS, 0)
    assert_each_was_told_exactly_once()


def test_what_a_killed_worker_had_committed_is_not_repeated() -> None:
    with half_way("record_many", 2, "after") as worker:
        kill(worker)
    assert Notification.objects.count() == 5
    assert sweep(now=DUE).clocks == FLAGS - 5
    assert_each_was_told_exactly_once()


def test_two_beats_at_once_share_the_clocks() -> None:
    with half_way("_claim", 1, "after") as worker:
        assert sweep(now=DUE).clocks == FLAGS - 5  # the five that the other one holds are left to it
        assert sweep(now=DUE).clocks == 0
        kill(worker)
    assert sweep(now=DUE).clocks == 5
    assert_each_was_told_exactly_once()


def test_many_workers_at_once_announce_each_clock_once() -> None:
    source = _SWEEP.replace("name, batches = sys.argv[1], 0", 'name, batches = "_claim", 0').replace(
        "int(sys.argv[2])", "10**9"
    )
    started = [subprocess.Popen([sys.executable, "-c", source], env=environment()) for _ in range(3)]
    assert [worker.wait(60) for worker in started] == [0, 0, 0]
    sweep(now=DUE)
    assert_each_was_told_exactly_once()


def test_a_database_that_restarts_during_a_sweep_costs_no_announcement(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart ends every session in the middle of its transaction; so does the server when it is told to end ours."""
    whole, batches = sweeping.record_many, iter(range(10))

    def restart(entries: object) -> int:
        done = whole(entries)  # type: ignore[arg-type]
        if next(batches) == 1:
            end_our_session()
        return done

    monkeypatch.setattr(sweeping, "record_many", restart)
    with pytest.raises((OperationalError, InterfaceError)):
        sweep(now=DUE, batch=5)
    connection.close()  # what the worker does before its next task
    monkeypatch.undo()
    assert Notification.objects.count() == 5
    assert sweep(now=DUE + timedelta(seconds=1)).clocks == FLAGS - 5
    assert_each_was_told_exactly_once()


def test_who_acknowledges_while_a_worker_holds_the_clock_waits_and_wins_if_it_dies() -> None:
    lead = User.objects.get(groups__name=Role.TEAM_LEAD)
    first = Clock.objects.due(DUE)[0]
    assert first.flag_id is not None
    with half_way("_claim", 1, "after") as worker, ThreadPoolExecutor(1) as pool:

        def acknowledge() -> None:
            flags.acknowledge(flag_id=first.flag_id or 0, actor=lead, now=DUE)
            connection.close()

        waiting = pool.submit(acknowledge)
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
        worker.kill()
        waiting.result(10)
    assert sweep(now=DUE).clocks == FLAGS - 1
    first.refresh_from_db()
    assert (first.status, first.rung) == ("met", 0)


def test_of_two_people_at_once_one_moves_the_flag_and_the_other_is_told() -> None:
    people = [person(Role.SUPPORT_MANAGER), person(Role.RISK_MANAGER)]
    flag = RiskFlag.objects.earliest("pk")

    def reject(actor: User) -> RiskFlag:
        facts = {"flag_id": flag.pk, "seen_version": 1, "now": DUE}
        return flags.move(transition="reject", actor=actor, reason="No.", **facts)  # type: ignore[arg-type]

    results = at_once(*(partial(reject, actor) for actor in people))
    assert sorted(type(each).__name__ for each in results) == ["FlagChanged", "RiskFlag"]
    assert FlagEvent.objects.filter(flag=flag, kind="step").count() == 1


def test_a_double_click_raises_one_flag() -> None:
    facts = {"source": "tests:double", "level": 5}
    results = at_once(*[partial(raised, **facts)] * 4)
    assert len({flag.pk for flag in results if isinstance(flag, RiskFlag)}) == 1
    assert Clock.objects.filter(flag__source="tests:double").count() == 2


def end_our_session() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        ours = cursor.fetchone()[0]
    source = "import sys, django; django.setup(); from django.db import connection as c; c.cursor().execute("
    source += "'SELECT pg_terminate_backend(%s)', [int(sys.argv[1])])"
    subprocess.run([sys.executable, "-c", source, str(ours)], env=environment(), check=True)
