"""One row of every model that has admin pages, for the tests of who may open what."""

from __future__ import annotations

from collections.abc import Callable

from auditlog.models import LogEntry
from django.contrib.auth.models import Group
from django.db.models import Model
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from apps.actions.models import Execution, RuleRun
from apps.core.decisions import Entry, record, system
from apps.core.models import Delivery, Scope
from apps.core.notifications import notify
from apps.escalation.models import RiskFlag
from tests.actions.factories import CardFactory, example_version
from tests.core.factories import UserFactory

Make = Callable[[Scope], Model]


def _decision(scope: Scope) -> Model:
    return record(Entry(scope="s", actor=system("tests"), action="a", subject="x:1"))


def _delivery(scope: Scope) -> Model:
    notify(kind="monitoring", recipients=[UserFactory()], title="t", body="b", dedupe_key="k")
    return Delivery.objects.get(channel="email")


def _change(scope: Scope) -> Model:
    scope.name += "!"
    scope.save(update_fields=["name"])
    return LogEntry.objects.latest("id")


def _periodic_task(scope: Scope) -> Model:
    every = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.MINUTES)
    return PeriodicTask.objects.create(name="tests", task="tests.nothing", interval=every)


def _execution(scope: Scope) -> Model:
    return Execution.objects.create(
        card=CardFactory(scope=scope), action="note-down", requested_by=UserFactory(), created_at=timezone.now()
    )


def _run(scope: Scope) -> Model:
    now = timezone.now()
    return RuleRun.objects.create(
        rule="example", version=example_version(), trigger="schedule", status="succeeded", as_of=now, started_at=now
    )


def _flag(scope: Scope) -> Model:
    return RiskFlag.objects.create(scope=scope, level=3, title="t", description="d", raised_at=timezone.now())


ROWS: dict[str, Make] = {
    "core.user": lambda scope: UserFactory(),
    "core.scope": lambda scope: scope,
    "core.decision": _decision,
    "core.delivery": _delivery,
    "auth.group": lambda scope: Group.objects.earliest("pk"),
    "auditlog.logentry": _change,
    "django_celery_beat.periodictask": _periodic_task,
    "escalation.riskflag": _flag,
    "actions.actioncard": lambda scope: CardFactory(scope=scope),
    "actions.execution": _execution,
    "actions.ruleversion": lambda scope: example_version("order-ageing"),
    "actions.rulerun": _run,
}
