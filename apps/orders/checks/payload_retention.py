"""Retention: texts that are kept only for a while are emptied in time."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from apps.orders.intake.retention import ANSWERS, BODIES, DELIVERIES
from apps.orders.models import DataRequest, WebhookDelivery
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


class Settings(CheckSettings):
    """How late is too late."""

    hours: int = Field(
        26, ge=1, le=168, title="Late", description="Hours after its time until which a text must be gone."
    )


@check(
    slug="payload-retention",
    title="Texts of webhooks and data requests are emptied in time",
    every=timedelta(hours=6),
    settings=Settings,
    mitigation="See that the hourly task orders.reconcile_stores runs, which also empties what is old.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Looks for texts of webhooks and answers to data requests that are older than they may become."""
    edge = now - timedelta(hours=settings.hours)
    over = WebhookDelivery.objects.exclude(status="pending")
    counts = {
        "texts of webhooks": over.filter(status="done", processed_at__lt=edge - BODIES).exclude(body={}).count(),
        "webhooks": over.filter(received_at__lt=edge - DELIVERIES).count(),
        "answers to data requests": DataRequest.objects.filter(closed_at__lt=edge - ANSWERS).exclude(export={}).count(),
    }
    kept = WebhookDelivery.objects.exclude(body={}).count()
    return concluded(
        f"{kept:,} texts are kept, none for longer than {BODIES.days} days after it was processed.",
        failures=[f"{count:,} {words} are older than they may become." for words, count in counts.items() if count],
        facts={"kept": kept, "tooOld": counts, "days": {"texts": BODIES.days, "webhooks": DELIVERIES.days}},
        query="webhooks and data requests by age",
    )
