"""Intake: what stores tell us is taken up, and what was missed is asked for."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from apps.orders.models import ReconciliationRun, Store, WebhookDelivery
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


class Settings(CheckSettings):
    """How late is too late."""

    waiting_minutes: int = Field(
        10, ge=1, le=1440, title="Waiting", description="Minutes after which a webhook that still waits is late."
    )
    days: int = Field(7, ge=1, le=30, title="Days", description="Days of webhooks that were given up.")
    reconciled_hours: int = Field(
        4, ge=2, le=168, title="Reconciled", description="Hours within which each reachable store must be reconciled."
    )


@check(
    slug="webhooks-processed",
    title="News of stores is taken up",
    every=timedelta(minutes=15),
    settings=Settings,
    mitigation="Follow the runbook “Webhooks pile up”; look at dead letters under Webhooks and queue them again.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Counts webhooks that wait too long or were given up, and stores that were not reconciled for hours."""
    patience = timedelta(minutes=settings.waiting_minutes)
    late = WebhookDelivery.objects.filter(status="pending", received_at__lt=now - patience).count()
    dead = WebhookDelivery.objects.filter(status="dead", received_at__gte=now - timedelta(days=settings.days)).count()
    edge = now - timedelta(hours=settings.reconciled_hours)
    fresh = ReconciliationRun.objects.filter(status="succeeded", finished_at__gte=edge).values("store")
    behind = list(Store.objects.reachable().exclude(pk__in=fresh).order_by("pk").values_list("domain", flat=True))
    failures = [f"{late} webhooks have waited for more than {settings.waiting_minutes} minutes."] if late else []
    if behind:
        failures.append(f"{len(behind)} stores were not reconciled for {settings.reconciled_hours} hours.")
    return concluded(
        "No webhook waits or was given up, and every store was reconciled.",
        failures=failures,
        warnings=[f"{dead} webhooks of {settings.days} days were given up."] if dead else [],
        facts={"late": late, "dead": dead, "storesBehind": behind[:10]},
        query="webhooks that wait or were given up, reconciliations",
    )
