"""Deadlines: whatever is due was announced, and every open flag has a clock that runs."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from apps.escalation.models import Clock, Report, RiskFlag
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


class Settings(CheckSettings):
    """How late is too late."""

    late_minutes: int = Field(
        5, ge=2, le=240, title="Late", description="Minutes after which a deadline must have been announced."
    )
    unjudged_minutes: int = Field(
        30, ge=5, le=1440, title="Unjudged", description="Minutes after which a customer's message must be judged."
    )


@check(
    slug="deadlines-swept",
    title="Deadlines of flags and tickets are kept by the clock",
    every=timedelta(minutes=5),
    settings=Settings,
    mitigation="See that the minute sweep escalation.sweep_clocks runs; clock_failed in the log names a broken clock.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Looks for deadlines that passed without an announcement, and for messages that no indicator judged."""
    late = Clock.objects.due(now - timedelta(minutes=settings.late_minutes)).count()
    edge = now - timedelta(minutes=settings.unjudged_minutes)
    unjudged = Report.objects.filter(judged_at=None, at__lt=edge).count()
    running = Clock.objects.filter(next_deadline_at__gt=now).count()
    flags = RiskFlag.objects.exclude(status__in=["resolved", "closed"]).count()
    failures = [f"{late} deadlines passed without an announcement."] if late else []
    failures += [f"{unjudged} messages wait for the indicators."] if unjudged else []
    return concluded(
        f"{running} deadlines lie ahead, none was missed; {flags} flags are open.",
        failures=failures,
        facts={"late": late, "unjudged": unjudged, "ahead": running, "openFlags": flags},
        query="clocks and reports that are due",
    )
