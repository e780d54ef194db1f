"""Celery tasks of the escalation: they take the time and call services."""

from __future__ import annotations

import structlog
from celery import shared_task
from django.utils import timezone

from apps.escalation import metrics, reports
from apps.escalation.sweep import database_now, sweep

logger = structlog.get_logger(__name__)


@shared_task(time_limit=120, soft_time_limit=100, expires=55)
def sweep_clocks() -> int:
    """Announce deadlines that have come. Losing the task loses nothing: the next one finds the clocks. Returns how many."""
    now = database_now()
    swept = sweep(now=now)
    if not swept.failed:
        metrics.last_good_sweep.set(now.timestamp())
    logger.info("clocks_swept", clocks=swept.clocks, told=swept.told, failed=swept.failed)
    return swept.clocks


@shared_task(time_limit=120, soft_time_limit=100, expires=3600)
def judge_report(report_id: int) -> bool:
    """Let the indicators judge a customer's message. Losing the task loses nothing: ``watch_reports`` finds the row."""
    return reports.judge(report_id, now=timezone.now()) is not None


@shared_task(time_limit=600, soft_time_limit=540, expires=14 * 60)
def watch_reports() -> int:
    """Judge what lost tasks left, look for bursts, and drop words that left the window. Returns how many were judged."""
    watched = reports.watch(now=timezone.now())
    logger.info("reports_watched", judged=watched)
    return watched
