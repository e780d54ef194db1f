"""Risk scores: fresh, complete, and of a model whose file is the one that was trained."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site
from apps.subscriptions.models import RecalculationRun, RenewalModel, RiskScore, Subscription
from apps.subscriptions.prediction import store


class Settings(CheckSettings):
    """What is bearable."""

    hours: int = Field(30, ge=1, le=168, title="Hours", description="Hours within which all scores must be calculated.")
    degraded: float = Field(
        0.01, ge=0, lt=1, title="Degraded", description="Share of scores (0 to 1) that may be incomplete."
    )


@check(
    slug="scores-fresh",
    title="Risk scores are fresh, complete and of files that match",
    every=timedelta(hours=1),
    settings=Settings,
    mitigation="See the last recalculation under Recalculations; train the model again where its file does not match.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Reads when all subscriptions were last scored, how many scores are incomplete, and the checksum of the model's file."""
    active = Subscription.objects.filter(status="active").count()
    last = RecalculationRun.objects.filter(status="finished").order_by("-finished_at").first()
    missing = Subscription.objects.filter(status="active", risk_score=None).count()
    degraded = RiskScore.objects.filter(subscription__status="active", degraded=True).count()
    failures, warnings = [], []
    if active and (last is None or last.finished_at is None):
        failures.append("The scores were never calculated for all subscriptions.")
    elif active and last is not None and last.finished_at is not None:
        hours = (now - last.finished_at).total_seconds() / 3600
        if hours > settings.hours:
            failures.append(f"All scores were last calculated {hours:.0f} hours ago.")
    if active and degraded / active > settings.degraded:
        failures.append(f"{degraded} of {active} scores are incomplete.")
    if missing:
        warnings.append(f"{missing} active subscriptions have no score.")
    failures += _unusable_models()
    return concluded(
        f"{active:,} active subscriptions are scored, {degraded} incompletely; the model's file is the trained one.",
        failures=failures,
        warnings=warnings,
        facts={"active": active, "missing": missing, "degraded": degraded,
               "lastFinished": last.finished_at.isoformat() if last and last.finished_at else None},
        query="scores, recalculations, SHA-256 of the model's file",
    )  # fmt: skip


def _unusable_models() -> list[str]:
    found = []
    for row in RenewalModel.objects.filter(active=True):
        try:
            store.read(row)
        except store.ModelUnusable as refusal:
            found.append(f"The model v{row.version} cannot be used: {refusal.message}")
    return found
