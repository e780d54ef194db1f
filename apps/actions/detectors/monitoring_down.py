"""Monitoring down: nobody judges orders."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from pydantic import Field

from apps.actions.freshness import last_good_runs
from apps.actions.models import RuleRun
from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.actions.rules import rules as registry


class Settings(RuleSettings):
    """How long a silence is bearable."""

    silence_minutes: int = Field(
        30, ge=15, le=1440, title="Silence", description="Minutes without a good run of any rule; sweeps come every 15."
    )
    remind_after_days: int = Field(
        1,
        ge=1,
        le=365,
        title="Remind after",
        description="Days after which a decided silence that persists opens a new card.",
    )


@detector(
    slug="monitoring-down",
    title="Monitoring down",
    kind="monitoring-alert",
    settings=Settings,
    watch=True,
    mitigation="Follow the runbook “Monitoring is down”: worker, beat, database, then run the detectors by hand.",
    escalation="Escalate when monitoring is still silent an hour after this card opened.",
    rollback="Nothing to roll back; the next good run resolves this card.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """No rule had a good run for too long, so new risks stay unseen. Before the first run ever nothing is expected."""
    good = last_good_runs(rule.slug for rule in registry if not rule.watch)
    last = max(good.values(), default=None)
    silent = last is not None and now - last > timedelta(minutes=settings.silence_minutes)
    if last is None:
        first = RuleRun.objects.filter(started_at__lte=now).order_by("started_at").first()
        silent = first is not None and now - first.started_at > timedelta(minutes=settings.silence_minutes)
        last = first.started_at if first else now
    if not silent:
        return
    yield Hit(
        subject="monitoring:sweep",
        scope_id=None,
        target="Order monitoring",
        draft=f"No rule has run with success since {last:%Y-%m-%d %H:%M} UTC.",
        rationale=f"Sweeps come every 15 minutes; none succeeded for more than {settings.silence_minutes} minutes. Risks "
        "that arise meanwhile are not seen, and what the queue shows is stale.",
        data={"lastGoodRun": last.isoformat(), "silenceMinutes": settings.silence_minutes},
        source="riskdesk",
        operation="run-query",
        query="rule_runs.last_good",
        observed_at=last,
        expected_impact=Decimal(0),
        currency="USD",
        confidence=Decimal(1),
        ease=3,
        tier="policy",
        can_execute=False,
        expected_loss=Decimal(10_000),  # before all else in the queue: every other figure in it is stale
    )
