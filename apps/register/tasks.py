"""Celery tasks of the register: they read the clock and call services."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from apps.register.runs import due_checks, run_checks, thin_history


@shared_task(time_limit=290, soft_time_limit=270, expires=4 * 60)
def run_due_checks() -> int:
    """Look at the system by the checks whose turn it is. Returns how many looked."""
    now = timezone.now()
    return len(run_checks(now=now, slugs=due_checks(now)))


@shared_task(time_limit=300, soft_time_limit=270, expires=20 * 3600)
def thin_check_history() -> int:
    """Delete old results of checks. Returns how many."""
    return thin_history(timezone.now())
