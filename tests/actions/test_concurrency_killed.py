"""Processes that are killed while they work: nothing stays locked, nothing is half done, nothing is done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.actions import execute, services
from apps.actions.models import ActionCard, CardEvent, Execution, RuleRun
from apps.actions.runs import run_rules
from apps.core.roles import Role
from tests.actions.factories import MINUTES, NOW, CardFactory, Ledger, example_executor, example_rule, hit
from tests.core.factories import person

pytestmark = pytest.mark.django_db(transaction=True)

_SWEEP = """
def detect(**_):
    yield hit("order:1")
    say("half")
    sleep(60)

with example_rule(detect):
    run_rules(now=NOW, trigger="schedule", rules=["example"])
"""

_RECONCILED = """
from django.db import transaction
from apps.actions import runs

whole = runs.reconcile

def slow(**options):
    done = whole(**options)
    say("half")
    sleep(60)
    return done

runs.reconcile = slow
with example_rule([hit("order:1")]):
    run_rules(now=NOW, trigger="schedule", rules=["example"])
"""

_EFFECT = """
from apps.actions import execute

class Slow(Ledger):
    def _do(self, what, job):
        say("half")
        sleep(60)

with example_rule(), example_executor():
    from apps.actions.executors import executors
    object.__setattr__(executors["note-down"], "effect", Slow())
    execute.execute(int(sys.argv[1]))
"""

_HEAD = """
import sys
from time import sleep
import django
django.setup()
from apps.actions.runs import run_rules
from tests.actions.factories import *

def say(text):
    print(text, flush=True)
"""


@contextmanager
def process(source: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Another Python process on the test's database, that has said that it is half-way."""
    database = connection.settings_dict
    url = f"postgres://{database['USER']}@/{database['NAME']}?host={database['HOST']}"
    if database["PASSWORD"] or not database["HOST"].startswith("/"):
        port = f":{database['PORT']}" if database["PORT"] else ""
        url = f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}{port}/{database['NAME']}"
    environment = os.environ | {"DATABASE_URL": url, "PYTHONPATH": str(settings.BASE_DIR), "LOG_LEVEL": "ERROR"}
    started = subprocess.Popen(
        [sys.executable, "-c", _HEAD + source, *args], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert started.stdout is not None
        assert started.stdout.readline().strip() == "half"
        yield started
    finally:
        started.kill()
        started.wait(10)
        started.stdout.close()  # type: ignore[union-attr]


def killed(source: str, *args: str) -> None:
    with process(source, *args) as started:
        started.send_signal(signal.SIGKILL)
        assert started.wait(10) == -signal.SIGKILL


def test_while_one_process_sweeps_another_leaves_the_rule_to_it() -> None:
    with process(_SWEEP), example_rule([hit()]):
        assert run_rules(now=NOW, trigger="schedule", rules=["example"]) == []


@pytest.mark.parametrize("source", [_SWEEP, _RECONCILED], ids=["while detecting", "before committing"])
def test_a_killed_sweep_leaves_nothing_half_done_and_the_next_one_does_it(source: str) -> None:
    killed(source)
    assert not ActionCard.objects.exists()
    assert RuleRun.objects.get().status == "running"

    with example_rule([hit("order:1")]):
        (run,) = _until_unlocked(lambda: run_rules(now=NOW + MINUTES, trigger="schedule", rules=["example"]))
    assert run.opened == 1
    assert list(RuleRun.objects.order_by("pk").values_list("status", flat=True)) == ["failed", "succeeded"]


def test_a_worker_killed_mid_effect_is_followed_by_another() -> None:
    with example_rule(), example_executor() as ledger:
        card = CardFactory()
        made = services.approve(
            card_id=card.pk, seen_version=1, actor=person(Role.OPERATOR), action="note-down", key=uuid4()
        )
        killed(_EFFECT, str(made.pk))
        assert Execution.objects.get().status == "running"
        assert execute.execute(made.pk) is None  # its lease holds

        over = timezone.now() - timedelta(seconds=1)
        Execution.objects.update(next_attempt_at=over)
        assert execute.due(timezone.now()) == [made.pk]
        execute.execute(made.pk)
    _done_once(card, made, ledger)


def _done_once(card: ActionCard, made: Execution, ledger: Ledger) -> None:
    card.refresh_from_db()
    made.refresh_from_db()
    assert (card.status, made.status, made.attempts) == ("executed", "succeeded", 2)
    assert ledger.done == [("execute", str(made.key))]
    assert CardEvent.objects.filter(kind="executed").count() == 1


def _until_unlocked(job: Any) -> Any:
    """The server notices within moments that the killed process is gone."""
    deadline = timezone.now() + timedelta(seconds=10)
    while not (found := job()):
        assert timezone.now() < deadline
    return found
