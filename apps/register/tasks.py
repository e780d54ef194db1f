"""Celery tasks of the register: they read the clock and call services."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from apps.register import acceptances, controls, mitigations, reviews
from apps.register.runs import due_checks, run_checks, thin_history


@shared_task(time_limit=290, soft_time_limit=270, expires=4 * 60)
def run_due_checks() -> int:
    """Look at the system by the checks whose turn it is. Returns how many looked."""
    now = timezone.now()
    return len(run_checks(now=now, slugs=due_checks(now)))


@shared_task(time_limit=290, soft_time_limit=270, expires=10 * 60)
def run_one_check(slug: str) -> str:
    """Look by one check, because somebody asked for it. Returns what was found; nothing if the check is off."""
    return "".join(result.outcome for result in run_checks(now=timezone.now(), slugs=[slug]))


@shared_task(time_limit=300, soft_time_limit=270, expires=20 * 3600)
def thin_check_history() -> int:
    """Delete old results of checks. Returns how many."""
    return thin_history(timezone.now())


@shared_task(time_limit=600, soft_time_limit=540, expires=20 * 3600)
def end_acceptances() -> int:
    """Announce the end of acceptances and end those whose day has come. Losing the task loses nothing: the next one finds
    them. Returns how many ended.
    """
    return acceptances.end_acceptances(now=timezone.now())


@shared_task(time_limit=600, soft_time_limit=540, expires=20 * 3600)
def plan_reviews() -> int:
    """Plan what is to be reviewed, and tell of what is overdue. Returns how many reviews were planned."""
    now = timezone.now()
    count = reviews.plan(now=now)
    reviews.tell_overdue(now=now)
    return count


@shared_task(time_limit=600, soft_time_limit=540, expires=20 * 3600)
def remind_owners() -> int:
    """Remind owners of mitigations and of attestations that fall due. Returns how many reminders."""
    now = timezone.now()
    return mitigations.remind(now=now) + controls.remind(now=now)
