"""The core's Celery tasks."""

from __future__ import annotations

from time import monotonic

import structlog
from celery import shared_task
from django.core.management import call_command
from django.utils import timezone

from apps.core import decisions, idempotency, notifications, tokens
from apps.core.roles import Role, people_with

logger = structlog.get_logger(__name__)
_BUDGET_SECONDS = 60


@shared_task(time_limit=180, soft_time_limit=150, expires=60)
def deliver_pending_notifications() -> int:
    """Send the e-mails that are due, for at most a minute; several workers may do so at once. Returns how many."""
    end = monotonic() + _BUDGET_SECONDS
    count = 0
    while monotonic() < end and notifications.deliver_one(now=timezone.now()):
        count += 1
    return count


@shared_task(time_limit=3600, soft_time_limit=3500)
def verify_decision_log() -> bool:
    """Check the chain of decisions, write its head to the log, and tell administrators and auditors of a break."""
    *_, result = decisions.verify()
    seq, digest = result.head
    if result.whole:
        logger.info("decision_log_verified", checked=result.checked, head_seq=seq, head_hash=digest)
        return True
    logger.error("decision_log_broken", seq=result.broken_at, reason=result.reason, head_seq=seq, head_hash=digest)
    notifications.notify(
        kind="decision_log",
        recipients=people_with(Role.ADMINISTRATOR, Role.AUDITOR),
        title=f"The decision log is broken at entry {result.broken_at}",
        body=f"Entry {result.broken_at}: {result.reason}. Nothing before it was touched.",
        url="/admin/core/decision/",
        dedupe_key=f"decision_log_broken:{result.broken_at}:{timezone.now():%Y-%m-%d}",
        urgent=True,
    )
    return False


@shared_task(time_limit=300, soft_time_limit=270)
def clear_sessions() -> None:
    """Delete what has ended: sessions, which Django keeps until somebody asks, API tokens, and stored answers."""
    call_command("clearsessions")
    tokens.forget_expired(now=timezone.now())
    idempotency.forget_old(now=timezone.now())
