"""Celery tasks of the subscriptions: they read the clock and call services."""

from __future__ import annotations

import time

import structlog
from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from apps.subscriptions import payments
from apps.subscriptions.models import RecalculationRun
from apps.subscriptions.prediction.predict import due, predict_all
from apps.subscriptions.recalculation import AlreadyRunning, request_run, unfinished, work

logger = structlog.get_logger(__name__)

# --- Risk scores ------------------------------------------------------------------------------------------------------

SHIFT_SECONDS = 12 * 60.0
"""So long a task works on a recalculation; the next one goes on, so a run may take longer than a task."""


def wake() -> None:
    """Ask for waiting recalculations to be done at once. Only a hint: without it the next minute's task finds them."""
    try:
        resume_recalculation.apply_async(retry=False)
    except OperationalError:
        logger.warning("recalculation_not_announced")


@shared_task(time_limit=15 * 60, soft_time_limit=14 * 60, expires=20 * 3600)
def recalculate_all() -> str:
    """The daily recalculation. What was cut off on a former day is finished first, then this day's is done."""
    now = timezone.now()
    run = request_run(trigger=RecalculationRun.Trigger.SCHEDULE, now=now)
    done = _shift(run)
    if done == RecalculationRun.Status.FINISHED and run.as_of.date() < now.date():
        done = _shift(request_run(trigger=RecalculationRun.Trigger.SCHEDULE, now=now))
    return done


@shared_task(time_limit=15 * 60, soft_time_limit=14 * 60, expires=55)
def resume_recalculation() -> str:
    """Do a recalculation that people asked for, or that was cut off. Returns its state."""
    run = unfinished()
    return _shift(run) if run else "nothing to do"


def _shift(run: RecalculationRun) -> str:
    until = time.monotonic() + SHIFT_SECONDS
    try:
        return work(run, go_on=lambda: time.monotonic() < until).status
    except AlreadyRunning:
        return "another process is at it"


# --- Payments and predictions -----------------------------------------------------------------------------------------

PAYMENT_SECONDS = 45.0
"""So long a task begins new exchanges with providers; what is left waits for the next one."""


@shared_task(time_limit=300, soft_time_limit=270, expires=55)
def execute_payment_retries() -> int:
    """Execute retries that are due and ask again about those without an answer. Returns how often providers were asked."""
    until = time.monotonic() + PAYMENT_SECONDS
    return payments.work(now=timezone.now(), go_on=lambda: time.monotonic() < until)


@shared_task(time_limit=15 * 60, soft_time_limit=14 * 60, expires=9 * 60)
def predict_renewals() -> int:
    """Predict all renewals, once after each recalculation of all subscriptions; the next one goes on. Returns how many."""
    since, until = due(), time.monotonic() + SHIFT_SECONDS
    if since is None:
        return 0
    return predict_all(now=timezone.now(), since=since, go_on=lambda: time.monotonic() < until).subscriptions
