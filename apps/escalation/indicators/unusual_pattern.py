"""Categories with far more reports than is usual for them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from math import log10

from pydantic import Field

from apps.escalation.bursts import Burst, bursts, daily_counts
from apps.escalation.models import Report
from apps.escalation.signs import Finding, SignSettings, indicator


class Settings(SignSettings):
    days: int = Field(28, ge=7, le=365, title="Baseline", description="Days before that say what is usual.")
    shortest: int = Field(7, ge=2, le=365, title="From", description="Days of history below which nothing is judged.")
    rate: float = Field(
        0.01, gt=0, le=0.2, title="False discovery rate", description="Over the categories judged at once."
    )
    at_least: int = Field(5, ge=2, le=10_000, title="At least", description="Reports in the last day.")
    times: float = Field(2.0, ge=1, le=100, title="Times", description="How many times the usual it has to be.")
    high_times: float = Field(
        5.0, ge=1, le=1000, title="Level 3 from", description="Times the usual from which level 3 is proposed."
    )


@indicator(slug="unusual_pattern", title="Unusual patterns", occasion="sweep", settings=Settings)
def find(*, now: datetime, settings: Settings, report: Report | None) -> Iterator[Finding]:
    """Categories with far more reports in the last day than is usual for the very category."""
    counts = daily_counts(now, settings.days)
    for burst in bursts(
        counts, rate=settings.rate, at_least=settings.at_least, times=settings.times, shortest=settings.shortest
    ):
        yield _finding(burst, settings)


def _finding(burst: Burst, settings: Settings) -> Finding:
    usual = f"{burst.usual:.1f}" if burst.usual < 10 else f"{burst.usual:.0f}"
    said = f"{burst.count} reports in 24 hours, usual are {usual} (by {burst.days} days before)"
    return Finding(
        subject=f"category:{burst.scope_id or 'all'}:{burst.category}",
        scope_id=burst.scope_id,
        title=f"Burst in {burst.category}: {said}",
        reasons=(f"{said}.", f"By chance so many come about once in {1 / max(burst.chance, 1e-12):,.0f} days."),
        score=round(min(-log10(max(burst.chance, 1e-300)), 300), 2),
        level=3 if burst.count >= settings.high_times * burst.usual else 2,
        evidence={
            "category": burst.category,
            "count": burst.count,
            "usual": round(burst.usual, 2),
            "chance": burst.chance,
            "frequency": said,
        },
        size=burst.count,
    )
