"""Heartbeats: every scheduled job is started on time, and ends well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django_celery_beat.models import PeriodicTask
from pydantic import Field

from apps.core import worker
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


class Settings(CheckSettings):
    """How late is too late."""

    late_minutes: int = Field(
        12,
        ge=5,
        le=1440,
        title="Late",
        description="Minutes after its turn until which a job must have run; beat writes its turns down every three.",
    )


@check(
    slug="job-heartbeats",
    title="Every scheduled job runs on time",
    every=timedelta(minutes=5),
    settings=Settings,
    later=True,
    mitigation="Follow the runbook “Monitoring is down”: beat starts the jobs, workers run them, Valkey passes them on.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Compares when beat started each scheduled job, and when a worker last ended it with success, with its turns."""
    jobs = list(PeriodicTask.objects.filter(enabled=True).exclude(name="celery.backend_cleanup"))
    grace = timedelta(minutes=settings.late_minutes)
    ended = {name: datetime.fromtimestamp(float(at), UTC) for name, at in worker.heartbeats().items()}
    late, unfinished, unknown = [], [], []
    for job in jobs:
        if job.last_run_at is None:
            if now - job.date_changed > grace + _longest_turn(job):
                late.append(job.name)
            continue
        if _next_turn(job, job.last_run_at, now) + grace < now:
            late.append(job.name)
        well = ended.get(job.task)
        if well is None:
            if now - job.last_run_at > grace:
                unknown.append(job.name)
        elif _next_turn(job, well, now) + grace + _patience(job) < now:
            unfinished.append(job.name)
    failures = [] if jobs else ["No job is scheduled; beat never ran."]
    failures += [f"Not started on time: {', '.join(late)}."] if late else []
    failures += [f"Started, but not ended well since their last turn: {', '.join(unfinished)}."] if unfinished else []
    warnings = [f"No worker ever said that it ended: {', '.join(unknown)}."] if unknown else []
    return concluded(
        f"All {len(jobs)} scheduled jobs ran on time.",
        failures=failures,
        warnings=warnings,
        facts={"jobs": len(jobs), "late": late, "unfinished": unfinished, "neverEnded": unknown},
        query="schedule, and what workers wrote down in Valkey",
    )


def _next_turn(job: PeriodicTask, last: datetime, now: datetime) -> datetime:
    """The turn after a moment."""
    turns = job.schedule
    turns.nowfun = lambda: now
    return now + turns.remaining_estimate(last)


def _longest_turn(job: PeriodicTask) -> timedelta:
    """How long a job that never ran may wait for its first turn: a week for weekly ones, as for all by the clock."""
    return timedelta(days=8) if job.crontab_id else timedelta(minutes=5)


def _patience(job: PeriodicTask) -> timedelta:
    """How long after its turn a task may still be taken up."""
    return timedelta(seconds=job.expire_seconds or 0)
