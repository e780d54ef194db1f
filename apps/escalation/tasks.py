"""Celery tasks of the escalation: they take the time and call services."""

from __future__ import annotations

from time import monotonic

import structlog
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from apps.escalation import metrics, notices, outgoing, reports, retention, reviews, routing, training
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


@shared_task(time_limit=1800, soft_time_limit=1740, expires=20 * 3600)
def forget_reports() -> int:
    """Delete customers' messages that are too old to be kept. Returns how many."""
    done = retention.forget(now=timezone.now(), days=settings.REPORT_RETENTION_DAYS)
    logger.info("reports_forgotten", reports=done.reports, clusters=done.clusters, proposals=done.proposals)
    return done.reports


@shared_task(time_limit=120, soft_time_limit=100, expires=55)
def route_waiting() -> int:
    """Give waiting tickets to those who have room, as when a team opens. Returns how many."""
    return routing.fill_all(timezone.now())


@shared_task(time_limit=180, soft_time_limit=150, expires=14)
def deliver_outgoing() -> int:
    """Send the news to other systems that is due, for at most a minute; several workers may do so at once."""
    end, count = monotonic() + 60, 0
    while monotonic() < end and outgoing.deliver_one(now=timezone.now):
        count += 1
    return count


@shared_task(time_limit=300, soft_time_limit=270)
def forget_outgoing() -> int:
    """Delete news that was sent long ago. Returns how many."""
    return outgoing.forget_old(now=timezone.now())


@shared_task(time_limit=120, soft_time_limit=100, expires=20 * 3600)
def plan_reviews() -> int:
    """Plan the next review of each kind that has none, and tell who has to hold one, to review a document or to finish a
    next action. The same week, nobody is told twice. Returns how many reviews were planned."""
    now = timezone.now()
    planned = reviews.plan(now=now)
    logger.info("reviews_planned", planned=len(planned), told=notices.remind(now=now))
    return len(planned)


@shared_task(time_limit=600, soft_time_limit=540, expires=20 * 3600)
def remind_trainings() -> int:
    """Remind people of trainings that fall due; the same week, nobody is told twice. Returns how many reminders."""
    return training.remind(now=timezone.now())
