"""Celery tasks of the escalation: they take the time and call services."""

from __future__ import annotations

import structlog
from celery import shared_task

from apps.escalation import metrics
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
