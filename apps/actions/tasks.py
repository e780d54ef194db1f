"""Celery tasks of the actions: they read the clock and call services."""

from __future__ import annotations

import structlog
from celery import shared_task
from django.utils import timezone

from apps.actions import alerts, execute
from apps.actions.models import RuleRun
from apps.actions.runs import forget_old_runs, run_rules

logger = structlog.get_logger(__name__)


@shared_task(time_limit=14 * 60, soft_time_limit=13 * 60, expires=14 * 60)
def run_all_rules() -> int:
    """The sweep: judge everything by all rules. Returns how many rules were judged."""
    return len(run_rules(now=timezone.now(), trigger=RuleRun.Trigger.SCHEDULE))


@shared_task(time_limit=300, soft_time_limit=270, expires=24 * 3600)
def execute_one(execution_id: int) -> str:
    """Attempt an approved effect. Losing the task loses nothing: ``resume_executions`` finds the row."""
    execution = execute.execute(execution_id)
    return execution.status if execution else "not due"


@shared_task(time_limit=300, soft_time_limit=270, expires=55)
def resume_executions() -> int:
    """Hand out executions that wait for their next attempt, or whose worker or task was lost. Returns how many."""
    found = execute.due(timezone.now())
    for execution_id in found:
        execute_one.delay(execution_id)
    return len(found)


@shared_task(time_limit=240, soft_time_limit=210, expires=4 * 60)
def watch_monitoring() -> int:
    """Watch over the sweep itself, raise the alerts and set the gauges. Returns how many alerts hold."""
    now = timezone.now()
    run_rules(now=now, trigger=RuleRun.Trigger.SCHEDULE, rules=alerts.watch_rules())
    alerts.set_gauges(now)
    return len(alerts.raise_alerts(now))


@shared_task(time_limit=300, soft_time_limit=270, expires=20 * 3600)
def forget_runs() -> int:
    """Delete old records of runs. Returns how many."""
    return forget_old_runs(timezone.now())
